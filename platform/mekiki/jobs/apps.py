from collections.abc import Callable

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "mekiki.jobs"
    label = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Register the chores that sweep and send jobs, and that request seals and seal checks."""
        from mekiki.jobs.chores import PeriodicTask, register, register_function

        def prepare_sweep() -> Callable[[], object]:
            from mekiki.jobs.sweeping import Sweeper

            return Sweeper().sweep

        def prepare_space_watch() -> Callable[[], object]:
            from mekiki.jobs.waiting import SpaceWatch

            return SpaceWatch().check

        register(PeriodicTask("sweep jobs", 5.0, prepare_sweep))
        register(PeriodicTask("send what waited for room", 5.0, prepare_space_watch))
        register_function("ask for seals", 600.0, "mekiki.jobs.seals.enqueue_scheduled_seal")
        register_function("ask for a check of the seals", 3600.0, "mekiki.jobs.seals.enqueue_scheduled_check")
