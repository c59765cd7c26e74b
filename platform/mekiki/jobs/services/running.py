"""What a worker does with a job between claiming and ending it."""

from datetime import timedelta
from typing import TypedDict, Unpack

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from mekiki.config import clock
from mekiki.jobs.errors import TranslatedText
from mekiki.jobs.models import Job, State
from mekiki.jobs.services.ending import end_job, lock_claimed
from mekiki.jobs.services.enqueueing import send_message_on_commit
from mekiki.jobs.services.errors import CancelledError, LostClaimError, PausedError

# A worker that has declined a job may claim it again after this time, because the cause may be fixed by then.
DECLINED_FOR = timedelta(minutes=5)


class ProgressFields(TypedDict, total=False):
    """The columns of a job that show how far it is. `rate`: units per second."""

    stage: str
    done: int
    total: int
    rate: float
    unit: str


def claim(job_id: str, worker: str = "", holder: str = "") -> Job | None:
    """Claim a queued job for this worker. Return None if the job is taken, ended or cancelled.

    `worker` is the host name of the worker; `holder` is unique for each start of the worker. Returns None too
    if this worker declined the job less than DECLINED_FOR ago.
    """
    with transaction.atomic():
        # Wait if an `enqueue` of the same key has locked the row. With skip_locked, the message would be used
        # up and the job would have to wait for the sweeper.
        job = Job.objects.select_for_update().filter(pk=job_id, state=State.QUEUED).first()
        if job is None:
            return None
        if job.cancel_requested:
            end_job(job, State.CANCELLED)
            return None
        if job.paused:
            return None
        now = clock.now()
        declined_at = job.declined_at if worker in job.declined_by else None
        if declined_at is not None and not clock.has_passed(DECLINED_FOR, declined_at, at=now):
            return None  # the sweeper wakes another worker
        job.state = State.RUNNING
        job.attempt += 1
        job.holder, job.holder_stops = holder, False
        job.started_at = job.started_at or now
        job.heartbeat_at = now
        job.error, job.error_texts, job.waiting_for = "", {}, ""
        job.save(
            update_fields=[
                "waiting_for", "state", "attempt", "holder", "holder_stops", "started_at", "heartbeat_at",
                "error", "error_texts",
            ]
        )  # fmt: skip
    return job


def record_heartbeat(job: Job, **fields: Unpack[ProgressFields]) -> None:
    """Store that the worker is alive and how far the job is. Sets `job.holder_stops`.

    Raises LostClaimError if another worker has claimed
    the job, CancelledError if the job must stop, and PausedError if a user has paused it.
    """
    mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
    if not mine.update(heartbeat_at=Now(), beats=F("beats") + 1, **fields):
        raise LostClaimError(str(job.pk))
    for name, value in fields.items():
        setattr(job, name, value)
    asked = mine.values_list("cancel_requested", "paused", "holder_stops").first()
    if asked is None:
        raise LostClaimError(str(job.pk))
    cancelled, paused, job.holder_stops = asked
    if cancelled:
        raise CancelledError(str(job.pk))
    if paused:
        raise PausedError(str(job.pk))


def mark_worker_stopping(*, holder: str) -> int:
    """Store that a worker was asked to stop. Return how many jobs it is running.

    Jobs that it does not finish go back to the queue, and no death is counted.
    """
    return Job.objects.filter(state=State.RUNNING, holder=holder).update(holder_stops=True)


def requeue(job: Job) -> None:
    """Return a job to the queue because its worker stops as planned; another worker continues it.

    Raises LostClaimError if another worker has claimed the job.
    """
    with transaction.atomic():
        mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
        if not mine.update(state=State.QUEUED, sent_at=None):
            raise LostClaimError(str(job.pk))
        send_message_on_commit(job)


def forget_deaths(job: Job) -> None:
    """Set the count of dead workers to 0, because the cause was found and the job continued after it."""
    Job.objects.filter(pk=job.pk, attempt=job.attempt).update(deaths=0)


def decline(job: Job, *, worker: str, reason: str, texts: TranslatedText | None = None) -> None:
    """Return a job to the queue because this worker may not do it; another worker takes it.

    It costs none of the job's attempts. `worker` is the host name of the worker. `reason` is shown while the
    job waits, and `texts` holds it in every language. Raises LostClaimError if another worker has claimed the
    job.
    """
    with transaction.atomic():
        row = lock_claimed(job)
        if row.cancel_requested:
            end_job(row, State.CANCELLED)
            return
        row.state, row.error, row.sent_at = State.QUEUED, reason, None
        row.error_texts = texts or {}
        row.stage, row.done, row.total, row.rate, row.unit = "", 0, 0, 0.0, ""
        row.declined_by = sorted({*row.declined_by, worker})
        row.declined_at = clock.now()
        row.save(
            update_fields=[
                "state", "error", "sent_at", "stage", "done", "total", "rate", "unit", "declined_by",
                "declined_at", "error_texts",
            ]
        )  # fmt: skip
        send_message_on_commit(row)
    job.state = State.QUEUED
