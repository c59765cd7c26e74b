from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "mekiki.learning"
    label = "learning"
    verbose_name = "Learning"
