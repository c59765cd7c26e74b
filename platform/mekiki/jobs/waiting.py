"""Jobs that wait until there is room on the disk: they cost no attempt, and go on by themselves."""

from django.utils.translation import gettext as _

from mekiki.config import disk
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import LostClaimError, send

# They free room, or write a few rows: reviewers need their queue, and the record its seals.
NEEDS_NO_RESERVE = (Kind.REMOVE_EMBEDDINGS, Kind.REFILL, Kind.SEAL, Kind.CHECK_SEALS)


def reason_text(reason: str) -> str:
    """Why a job waits, in words; "" when it waits for a worker alone."""
    texts = {
        disk.FULL: _(
            "Waits: the disk is nearly full. What was stored is kept. It goes on by itself when there is room again."
        ),
        disk.READ_ONLY: _(
            "Waits: the folder of the files cannot be written. What was stored is kept. It goes on by itself when the "
            "folder can be written again."
        ),
    }
    return texts.get(reason, "")


def must_wait(kind: str) -> str:
    """Why a job of this kind may not begin, or go on, now; "" when it may."""
    return "" if kind in NEEDS_NO_RESERVE else disk.shortage()


def wait_instead(job_id: str) -> bool:
    """Let a queued job wait where it must, before anybody claims it; True when it waits.

    The sweeper sends it again from time to time. Nothing is written while the reason stays the same.
    """
    row = (
        Job.objects.filter(pk=job_id, state=State.QUEUED)
        .only("kind", "waiting_for", "cancel_requested")
        .first()
    )
    if row is None or row.cancel_requested or not (reason := must_wait(row.kind)):
        return False
    if row.waiting_for != reason:
        Job.objects.filter(pk=job_id, state=State.QUEUED).update(waiting_for=reason)
    return True


def hold(job: Job, reason: str) -> None:
    """Put a running job back to wait for room. LostClaimError: another worker has it."""
    mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
    if not mine.update(state=State.QUEUED, sent_at=None, rate=0.0, waiting_for=reason):
        raise LostClaimError(str(job.pk))
    job.state = State.QUEUED


class RoomWatch:
    """Sends the jobs that wait for room as soon as there is room. A chore of its own: a disk that hangs stops no sweep."""

    def __init__(self) -> None:
        self._shortage = ""

    def look(self) -> dict[str, int]:
        """Look once; how many jobs were sent."""
        before, self._shortage = self._shortage, disk.shortage()
        if not before or self._shortage:
            return {"sent": 0}
        waiting = Job.objects.filter(state=State.QUEUED).exclude(waiting_for="")
        return {"sent": sum(send(str(job), kind) for job, kind in waiting.values_list("pk", "kind"))}
