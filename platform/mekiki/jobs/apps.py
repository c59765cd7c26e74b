from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "mekiki.jobs"
    label = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Have jobs swept."""
        from mekiki.jobs.chores import Chore, register
        from mekiki.jobs.sweeping import Sweeper

        register(Chore("sweep jobs", 5.0, lambda: Sweeper().sweep))
