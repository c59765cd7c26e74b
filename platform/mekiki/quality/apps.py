from django.apps import AppConfig


class QualityConfig(AppConfig):
    name = "mekiki.quality"
    label = "quality"
    verbose_name = "Quality"
