from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "mekiki.datasets"
    label = "datasets"
    verbose_name = "Datasets"
