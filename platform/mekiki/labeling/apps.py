from django.apps import AppConfig


class LabelingConfig(AppConfig):
    name = "mekiki.labeling"
    label = "labeling"
    verbose_name = "Labels and prompts"
