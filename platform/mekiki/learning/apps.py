from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "mekiki.learning"
    label = "learning"
    verbose_name = "Learning"

    def ready(self) -> None:
        """Register the periodic chores, the count of heads of a label, and the images that heads need."""
        from mekiki.datasets.hooks import register_image_dependents, register_kept_images
        from mekiki.jobs.chores import PeriodicTask, register
        from mekiki.labeling import effects
        from mekiki.learning.explaining import delete_unused_heat_maps
        from mekiki.learning.search import maintain_search
        from mekiki.learning.selectors import heads_by_label, training_images
        from mekiki.learning.services import delete_computed, record_all_lost_jobs

        effects.register_counter("heads", heads_by_label)
        register_kept_images(training_images)
        register_image_dependents(delete_computed)
        # Encoder changes whose job ended without recording an outcome.
        register(PeriodicTask("settle changes of encoders", 10.0, lambda: record_all_lost_jobs))
        register(PeriodicTask("tend search indexes", 60.0, lambda: maintain_search))
        register(PeriodicTask("delete unused heat maps", 600.0, lambda: delete_unused_heat_maps))
