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
        from mekiki.jobs.chores import register_function

        register_sealed_table(AUDIT_SHARE_CHANGES)
        register_function("purge deleted datasets", 3600.0, "mekiki.datasets.services.request_due_purges")
        register_function("scan watched folders", 60.0, "mekiki.datasets.services.start_due_scans")
        set_pixel_limit(settings.MAX_PIXELS)
        memory_budget.set_limit(settings.DECODE_MEMORY_BYTES)
