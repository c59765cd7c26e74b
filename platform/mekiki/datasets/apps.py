from django.apps import AppConfig
from django.conf import settings

import imaging


class DatasetsConfig(AppConfig):
    name = "mekiki.datasets"
    label = "datasets"
    verbose_name = "Datasets"

    def ready(self) -> None:
        """Set the limits of the decoder in every process, and register the sealed table."""
        from mekiki.audit.sealed_tables import register_sealed_table
        from mekiki.datasets.sealing import AUDIT_SHARE_CHANGES
        from mekiki.datasets.services import start_due_scans
        from mekiki.jobs.chores import PeriodicTask, register

        register_sealed_table(AUDIT_SHARE_CHANGES)
        register(PeriodicTask("scan watched folders", 60.0, lambda: start_due_scans))
        imaging.set_pixel_limit(settings.MAX_PIXELS)
        imaging.memory_budget.set_limit(settings.DECODE_MEMORY_BYTES)
