"""The scheduler of Celery beat: it reads schedules from the database, in the site's time zone.

It keeps working after the clock of the machine was set.
"""

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


# A larger jump means that the clock was set. A smaller one is a normal adjustment.
CLOCK_WAS_SET = 5.0  # seconds


class SiteEntry(ModelEntry):
    """One schedule. If the clock was set back, a last run in the future is treated as if it were now."""

    last_run_at: Any

    def is_due(self) -> Any:
        """Return Celery's answer after moving a last run in the future to now.

        A training that was due in the repeated span of time may run a second time.
        """
        now = self._default_now()
        if self.last_run_at > now:
            self.last_run_at = self.model.last_run_at = now
        return super().is_due()


class SiteScheduler(DatabaseScheduler):
    """Scheduler that moves stored schedules to the site's time zone before it starts.

    MEKIKI_TIME_ZONE may have changed since the last start. After the clock was set, the scheduler computes
    all due times again, because Celery sorts schedules by their next due time and checks nothing before it.
    """

    Entry = SiteEntry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._offset = time.time() - time.monotonic()
        self._due_datasets: set[int] = set()  # datasets whose training must still be requested
        super().__init__(*args, **kwargs)

    # Celery would connect to the broker here, and every due task would wait for that connection.
    producer = None

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Start a due task.

        A training becomes a job in the database at once, so no training is lost while the broker is down.
        """
        if entry.task == SCHEDULED_TASK:
            self._due_datasets.add(entry.args[0])
            self._request_due_trainings()
        else:
            broker.send(entry.task, entry.args)

    def _request_due_trainings(self) -> None:
        try:
            for dataset in list(self._due_datasets):
                logger.info(
                    "Training of dataset %s on schedule: %s",
                    dataset,
                    request_scheduled_training(dataset_id=dataset),
                )
                self._due_datasets.discard(dataset)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database did not answer (%s). A training is asked for again.", error)
            close_old_connections()
        else:
            self.sync()  # so that a requested training is not due again after a kill

    def schedule_changed(self) -> bool:
        """Return whether schedules changed, also if the clock was set back.

        In that case the latest change has an earlier time than the change before it.
        """
        before = self._last_timestamp
        changed = bool(super().schedule_changed())
        after = self._last_timestamp
        return changed or (before is not None and after is not None and after < before)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Send all due tasks and return the seconds until the next call."""
        offset = time.time() - time.monotonic()
        if abs(offset - self._offset) > CLOCK_WAS_SET:
            logger.warning(
                "The clock was set by %+.0f seconds; schedules are reckoned anew.", offset - self._offset
            )
            self.sync()
            self._schedule, self._heap, self._last_full_sync = None, None, None
            self._initial_read, self._last_timestamp = True, None
        self._offset = offset
        if self._due_datasets:
            self._request_due_trainings()
        return super().tick(*args, **kwargs)

    def setup_schedule(self) -> Any:
        """Set up the schedules and move them to the site's time zone."""
        super().setup_schedule()
        if moved := site.move_schedules(site.zone_name()):
            logger.info("%s schedules moved to the time zone %s", moved, site.zone_name())
