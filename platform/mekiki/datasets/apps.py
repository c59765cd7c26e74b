from collections.abc import Callable

from django.apps import AppConfig
from django.conf import settings


class DatasetsConfig(AppConfig):
    name = "mekiki.datasets"
    label = "datasets"
    verbose_name = "Datasets"

    def ready(self) -> None:
        """Set the limits of the decoder in every process, and register the sealed table and the chore."""
        from imaging.limits import set_pixel_limit
        from imaging.memory import budget as memory_budget
        from mekiki.audit.sealed_tables import register_sealed_table
        from mekiki.datasets.sealing import AUDIT_SHARE_CHANGES
        from mekiki.jobs.chores import PeriodicTask, register

        register_sealed_table(AUDIT_SHARE_CHANGES)
        register(PeriodicTask("purge deleted datasets", 3600.0, _prepare_purges))
        set_pixel_limit(settings.MAX_PIXELS)
        memory_budget.set_limit(settings.DECODE_MEMORY_BYTES)


def _prepare_purges() -> Callable[[], object]:
    """Return the chore, imported only by the sweeper."""
    from mekiki.datasets.services import request_due_purges

    return request_due_purges
