"""The sweeper of jobs: gives back what a dead worker holds, and sends again what nobody took.

It watches rows and measures by its own monotonic clock for how long they stay as they are. It compares no stored times:
the system clock, or the database's, may be set to anything meanwhile.
"""

import time
from collections.abc import Callable
from typing import Any

from mekiki.jobs.models import ACTIVE_STATES, Job, State
from mekiki.jobs.services import send, worker_died

# A worker beats every few seconds; one that is silent this long is taken for dead.
SILENT_AFTER = 25.0  # seconds
# A queued job is sent by whoever asks for it; what was not, soon after; what nobody took, again after a while.
SEND_AFTER, RESEND_AFTER = 2.0, 30.0  # seconds
# More than this cannot be learned from two looks: the sweeper, the database or the whole machine stood still between.
LONGEST_STEP = 10.0  # seconds


class Sweeper:
    """Sweeps each time it is called; must be called every few seconds, in one thread.

    Several sweepers at the same time do no harm: each change is made under the row's lock, for the row as it was seen.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = clock()
        self._unchanged: dict[Any, tuple[tuple[Any, ...], float]] = {}  # job → what was seen, seconds since

    def sweep(self) -> dict[str, int]:
        """Look once, and mend; how many jobs were given back, failed and sent again."""
        counts = {"given_back": 0, "failed": 0, "resent": 0}
        for job, seconds in self._look():
            if job.state == State.RUNNING and seconds >= SILENT_AFTER:
                outcome = worker_died(job_id=job.pk, attempt=job.attempt, beats=job.beats)
                counts["given_back"] += outcome == State.QUEUED
                counts["failed"] += outcome == State.FAILED
            elif job.state == State.QUEUED and seconds >= (
                SEND_AFTER if job.sent_at is None else RESEND_AFTER
            ):
                counts["resent"] += send(str(job.pk), job.kind)
        return counts

    def _look(self) -> list[tuple[Job, float]]:
        """The active jobs, each with the seconds for which it has been seen unchanged."""
        columns = ("pk", "kind", "state", "attempt", "beats", "sent_at")
        jobs = list(Job.objects.filter(state__in=ACTIVE_STATES).order_by("number").only(*columns))
        now = self._clock()
        step, self._looked = min(now - self._looked, LONGEST_STEP), now
        before, self._unchanged = self._unchanged, {}
        for job in jobs:
            seen = (job.state, job.attempt, job.beats, job.sent_at)
            known, seconds = before.get(job.pk, (None, 0.0))
            self._unchanged[job.pk] = (seen, seconds + step if known == seen else 0.0)
        return [(job, self._unchanged[job.pk][1]) for job in jobs]
