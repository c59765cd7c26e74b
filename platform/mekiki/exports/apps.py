from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "mekiki.exports"
    label = "exports"
    verbose_name = "Exports"
