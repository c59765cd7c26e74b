from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "mekiki.learning"
    label = "learning"
    verbose_name = "Learning"

    def ready(self) -> None:
        """Register the periodic chores and the count of heads that is shown before a label is archived."""
        from mekiki.jobs.chores import Chore, register
        from mekiki.labeling import effects
        from mekiki.learning.search import tend
        from mekiki.learning.selectors import heads_by_label
        from mekiki.learning.services import settle_all

        effects.register("heads", heads_by_label)
        # Encoder changes whose job ended without recording an outcome.
        register(Chore("settle changes of encoders", 10.0, lambda: settle_all))
        register(Chore("tend search indexes", 60.0, lambda: tend))
