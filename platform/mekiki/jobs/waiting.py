"""Jobs that wait for free space on the disk.

Waiting costs no attempt, and the jobs resume automatically.
"""

from mekiki.config import disk
from mekiki.jobs.messages import SHORTAGES
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import LostClaimError, send_message
from mekiki.jobs.services.user_requests import PAUSED

# These kinds free space or write few rows. Reviewers need the queue, and the audit log needs its seals.
NEEDS_NO_RESERVE = (Kind.REMOVE_EMBEDDINGS, Kind.REFILL, Kind.SEAL, Kind.CHECK_SEALS)


def reason_text(reason: str) -> str:
    """Return in words why a job waits, or "" if it only waits for a worker."""
    return SHORTAGES.render(reason) if reason in SHORTAGES else ""


def wait_reason(kind: str) -> str:
    """Return why a job of this kind may not start or continue now, or "" if it may."""
    return "" if kind in NEEDS_NO_RESERVE else disk.shortage_reason()


def mark_waiting(job_id: str) -> bool:
    """Let a queued job wait before a worker claims it, if it must. Return True if it waits.

    The sweeper sends the job again from time to time. Nothing is written while the reason stays the same.
    """
    row = (
        Job.objects.filter(pk=job_id, state=State.QUEUED)
        .only("kind", "waiting_for", "cancel_requested", "paused")
        .first()
    )
    if row is None or row.cancel_requested:
        return False
    reason = PAUSED if row.paused else wait_reason(row.kind)
    if not reason:
        return False
    if row.waiting_for != reason:
        Job.objects.filter(pk=job_id, state=State.QUEUED).update(waiting_for=reason)
    return True


def requeue_until_space(job: Job, reason: str) -> None:
    """Return a running job to the queue, where it waits for free space or until a user resumes it.

    Raises LostClaimError if another worker has claimed the job.
    """
    mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
    if not mine.update(state=State.QUEUED, sent_at=None, rate=0.0, waiting_for=reason):
        raise LostClaimError(str(job.pk))
    job.state = State.QUEUED


class SpaceWatch:
    """A chore that sends the waiting jobs as soon as there is free space.

    It is separate from the sweep, so a disk that hangs does not stop the sweep.
    """

    def __init__(self) -> None:
        self._shortage = ""

    def check(self) -> dict[str, int]:
        """Check the disk once. Return how many jobs were sent."""
        before, self._shortage = self._shortage, disk.shortage_reason()
        if not before or self._shortage:
            return {"sent": 0}
        waiting = Job.objects.filter(state=State.QUEUED).exclude(waiting_for="")
        return {"sent": sum(send_message(str(job), kind) for job, kind in waiting.values_list("pk", "kind"))}
