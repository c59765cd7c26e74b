from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "mekiki.jobs"
    label = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Register the chores that sweep and send jobs, and that request seals and seal checks."""
        from mekiki.jobs.chores import PeriodicTask, register
        from mekiki.jobs.seals import enqueue_scheduled_check, enqueue_scheduled_seal
        from mekiki.jobs.sweeping import Sweeper
        from mekiki.jobs.waiting import SpaceWatch

        register(PeriodicTask("sweep jobs", 5.0, lambda: Sweeper().sweep))
        register(PeriodicTask("send what waited for room", 5.0, lambda: SpaceWatch().check))
        register(PeriodicTask("ask for seals", 600.0, lambda: enqueue_scheduled_seal))
        register(PeriodicTask("ask for a check of the seals", 3600.0, lambda: enqueue_scheduled_check))
