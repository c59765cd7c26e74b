"""Celery beat on the schedules of the database, in the site's time zone, whatever its clock is set to."""

import logging
import time
from typing import Any

from django.db import DatabaseError, InterfaceError, close_old_connections
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from mekiki.accounts import site
from mekiki.jobs import broker
from mekiki.learning.selectors import SCHEDULED_TASK
from mekiki.learning.services import request_scheduled_training

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
        self._due: set[int] = set()  # datasets whose training is still to be asked for
        super().__init__(*args, **kwargs)

    # Celery would connect to the broker here and wait for it, before anything that is due.
    producer = None

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Ask for what is due. A training is a job in the database at once: a broker that is gone costs no training."""
        if entry.task == SCHEDULED_TASK:
            self._due.add(entry.args[0])
            self._ask_for_trainings()
        else:
            broker.send(entry.task, entry.args)

    def _ask_for_trainings(self) -> None:
        try:
            for dataset in list(self._due):
                logger.info(
                    "Training of dataset %s on schedule: %s",
                    dataset,
                    request_scheduled_training(dataset_id=dataset),
                )
                self._due.discard(dataset)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database did not answer (%s). A training is asked for again.", error)
            close_old_connections()
        else:
            self.sync()  # after a kill, what was asked for is not due once more

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
        if self._due:
            self._ask_for_trainings()
        return super().tick(*args, **kwargs)

    def setup_schedule(self) -> Any:
        """Move the schedules, then read them."""
        super().setup_schedule()
        if moved := site.move_schedules(site.zone_name()):
            logger.info("%s schedules moved to the time zone %s", moved, site.zone_name())
