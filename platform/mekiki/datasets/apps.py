from django.apps import AppConfig
from django.conf import settings

import imaging


class DatasetsConfig(AppConfig):
    name = "mekiki.datasets"
    label = "datasets"
    verbose_name = "Datasets"

    def ready(self) -> None:
        """Set the pixel limit and the memory limit of the decoder in every process that sets up Django."""
        imaging.set_pixel_limit(settings.MAX_PIXELS)
        imaging.memory_budget.set_limit(settings.DECODE_MEMORY_BYTES)
