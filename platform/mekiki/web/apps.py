from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "mekiki.web"
    label = "web"
    verbose_name = "Web"
