from django.apps import AppConfig


class EmbeddedConfig(AppConfig):
    name = "mekiki.embedded"
    label = "embedded"
    verbose_name = "Embedded servers"
