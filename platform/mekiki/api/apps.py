from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "mekiki.api"
    label = "api"
    verbose_name = "API"
