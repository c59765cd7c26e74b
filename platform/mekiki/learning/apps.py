from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "mekiki.learning"
    label = "learning"
    verbose_name = "Learning"

    def ready(self) -> None:
        """Register the periodic chores, the count of heads of a label, and the images that heads need."""
        from mekiki.config.lazy import by_name
        from mekiki.datasets.hooks import register_image_dependents, register_kept_images
        from mekiki.jobs.chores import register_function
        from mekiki.labeling import effects

        effects.register_counter("heads", by_name("mekiki.learning.selectors.heads_by_label"))
        register_kept_images(by_name("mekiki.learning.selectors.training_images"))
        register_image_dependents(by_name("mekiki.learning.services.delete_computed"))
        # Encoder changes whose job ended without recording an outcome.
        register_function("settle changes of encoders", 10.0, "mekiki.learning.services.record_all_lost_jobs")
        register_function("tend search indexes", 60.0, "mekiki.learning.search.maintain_search")
        register_function(
            "delete unused heat maps", 600.0, "mekiki.learning.explaining.delete_unused_heat_maps"
        )
        register_function(
            "delete unused prompt trials", 600.0, "mekiki.learning.prompt_trials.delete_unused_trials"
        )
