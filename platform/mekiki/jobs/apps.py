from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "mekiki.jobs"
    label = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Register the chores that sweep and send jobs, and that request seals and seal checks."""
        from mekiki.jobs.chores import Chore, register
        from mekiki.jobs.seals import ask_for_check, ask_for_seal
        from mekiki.jobs.sweeping import Sweeper
        from mekiki.jobs.waiting import RoomWatch

        register(Chore("sweep jobs", 5.0, lambda: Sweeper().sweep))
        register(Chore("send what waited for room", 5.0, lambda: RoomWatch().look))
        register(Chore("ask for seals", 600.0, lambda: ask_for_seal))
        register(Chore("ask for a check of the seals", 3600.0, lambda: ask_for_check))
