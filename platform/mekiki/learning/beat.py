"""Celery beat on the schedules of the database, in the site's time zone."""

import logging
from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from mekiki.accounts import site

logger = logging.getLogger(__name__)


class SiteScheduler(DatabaseScheduler):
    """Before it starts, moves stored schedules into the site's zone: MEKIKI_TIME_ZONE may have changed meanwhile."""

    def setup_schedule(self) -> Any:
        """Move the schedules, then read them."""
        super().setup_schedule()
        if moved := site.move_schedules(site.zone_name()):
            logger.info("%s schedules moved to the time zone %s", moved, site.zone_name())
