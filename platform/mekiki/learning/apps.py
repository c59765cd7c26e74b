from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "mekiki.learning"
    label = "learning"
    verbose_name = "Learning"

    def ready(self) -> None:
        """Labels are archived with the heads that know them in view."""
        from mekiki.labeling import effects
        from mekiki.learning.selectors import heads_by_label

        effects.register("heads", heads_by_label)
