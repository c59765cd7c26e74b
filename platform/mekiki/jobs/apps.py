from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "mekiki.jobs"
    label = "jobs"
    verbose_name = "Jobs"
