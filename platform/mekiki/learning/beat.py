"""Celery beat on the schedules of the database, in the site's time zone, whatever its clock is set to."""

import logging
import time
from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from mekiki.accounts import site

logger = logging.getLogger(__name__)


# Beyond this, the clock was set; below it, it was only adjusted.
CLOCK_WAS_SET = 5.0  # seconds


class SiteEntry(ModelEntry):
    """A schedule. A last run in the future, from before the clock was set back, counts as now."""

    last_run_at: Any

    def is_due(self) -> Any:
        """As Celery's; a training that was due in the time that comes again may run once more."""
        now = self._default_now()
        if self.last_run_at > now:
            self.last_run_at = self.model.last_run_at = now
        return super().is_due()


class SiteScheduler(DatabaseScheduler):
    """Moves stored schedules into the site's zone before it starts: MEKIKI_TIME_ZONE may have changed meanwhile.

    When the clock was set it reckons anew: Celery orders schedules by the time of day at which they are due, and looks
    at no other before that time.
    """

    Entry = SiteEntry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._offset = time.time() - time.monotonic()
        super().__init__(*args, **kwargs)

    def schedule_changed(self) -> bool:
        """Also where the latest change has an earlier time than the one before it: the clock was set back."""
        before = self._last_timestamp
        changed = bool(super().schedule_changed())
        after = self._last_timestamp
        return changed or (before is not None and after is not None and after < before)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send what is due; the seconds until the next look."""
        offset = time.time() - time.monotonic()
        if abs(offset - self._offset) > CLOCK_WAS_SET:
            logger.warning(
                "The clock was set by %+.0f seconds; schedules are reckoned anew.", offset - self._offset
            )
            self.sync()
            self._schedule, self._heap, self._last_full_sync = None, None, None
            self._initial_read, self._last_timestamp = True, None
        self._offset = offset
        return super().tick(*args, **kwargs)

    def setup_schedule(self) -> Any:
        """Move the schedules, then read them."""
        super().setup_schedule()
        if moved := site.move_schedules(site.zone_name()):
            logger.info("%s schedules moved to the time zone %s", moved, site.zone_name())
