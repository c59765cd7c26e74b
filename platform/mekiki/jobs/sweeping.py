"""The sweeper of jobs, which requeues the jobs of dead workers and sends lost messages again.

It measures with its own monotonic clock how long a row stays unchanged. It compares no stored times, because
the system clock or the clock of the database may be changed meanwhile.
"""

import time
from collections.abc import Callable
from uuid import UUID

from mekiki.jobs.models import ACTIVE_STATES, Job, State
from mekiki.jobs.services import handle_dead_worker, send_message

# A worker sends a heartbeat every few seconds. After this time without one it counts as dead.
SILENT_AFTER = 25.0  # seconds
# A queued job is normally sent when it is requested. A job that was not sent is sent after SEND_AFTER.
# A job that was sent but not claimed is sent again after RESEND_AFTER.
SEND_AFTER, RESEND_AFTER = 2.0, 30.0  # seconds
# The most time that is counted between two sweeps. A longer gap means that the sweeper, the database or the
# machine stood still.
LONGEST_STEP = 10.0  # seconds


class Sweeper:
    """A sweeper of jobs. `sweep` must be called every few seconds, in one thread.

    Several sweepers may run at the same time. Each change is made under the lock of the row, and only if the
    row is still as it was seen.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_sweep = clock()
        # job → the values that were seen, and for how many seconds they have not changed
        self._unchanged: dict[UUID, tuple[tuple[object, ...], float]] = {}

    def sweep(self) -> dict[str, int]:
        """Sweep once. Return how many jobs were given back, failed and sent again."""
        counts = {"given_back": 0, "failed": 0, "resent": 0}
        for job, seconds in self._observe():
            if job.state == State.RUNNING and seconds >= SILENT_AFTER:
                outcome = handle_dead_worker(job_id=job.pk, attempt=job.attempt, beats=job.beats)
                counts["given_back"] += outcome == State.QUEUED
                counts["failed"] += outcome == State.FAILED
            elif job.state == State.QUEUED and seconds >= (
                SEND_AFTER if job.sent_at is None else RESEND_AFTER
            ):
                counts["resent"] += send_message(str(job.pk), job.kind)
        return counts

    def _observe(self) -> list[tuple[Job, float]]:
        """Return the active jobs, each with the seconds for which it has been seen unchanged."""
        columns = ("pk", "kind", "state", "attempt", "beats", "sent_at")
        jobs = list(Job.objects.filter(state__in=ACTIVE_STATES).order_by("number").only(*columns))
        now = self._clock()
        step, self._last_sweep = min(now - self._last_sweep, LONGEST_STEP), now
        before, self._unchanged = self._unchanged, {}
        for job in jobs:
            seen = (job.state, job.attempt, job.beats, job.sent_at)
            known, seconds = before.get(job.pk, (None, 0.0))
            self._unchanged[job.pk] = (seen, seconds + step if known == seen else 0.0)
        return [(job, self._unchanged[job.pk][1]) for job in jobs]
