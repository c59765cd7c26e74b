"""Durable jobs, each claimed by one worker at a time.

A job is never lost and never takes effect twice. `enqueue` writes the row of a job and, after the commit,
sends its id to the broker. A worker calls `claim`, which raises `attempt`. From then on, the writes of this
worker carry the attempt. They are refused after another worker has claimed the job (fencing). `jobs.sweeping`
sends lost messages again and returns the jobs of dead workers to the queue.
"""

from datetime import timedelta
from typing import Any, TypedDict, Unpack
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import translation
from django.utils.translation import gettext as _
from psycopg.errors import UniqueViolation

from mekiki.accounts.access import DatasetLike, require_platform_admin, require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.jobs import broker
from mekiki.jobs.errors import TranslatedText, in_every_language, translate_stored_text
from mekiki.jobs.models import ACTIVE_STATES, UNSUCCESSFUL_STATES, Job, Kind, State

# A worker that has declined a job may claim it again after this time, because the cause may be fixed by then.
DECLINED_FOR = timedelta(minutes=5)


class ProgressFields(TypedDict, total=False):
    """The columns of a job that show how far it is. `rate`: units per second."""

    stage: str
    done: int
    total: int
    rate: float
    unit: str


class LostClaimError(Exception):
    """The error that another worker has claimed this job: stop, and write nothing more."""


class CancelledError(Exception):
    """The error that a user has requested the job to stop."""


class WorkerStoppingError(Exception):
    """The error that the worker was asked to stop: its unfinished work goes back to the queue."""


def enqueue(
    *,
    kind: Kind,
    dataset: DatasetLike | None = None,
    key: str = "",
    payload: dict[str, Any] | None = None,
    user: User | None = None,
) -> Job:
    """Create a job and return it, or return the active job with the same key.

    The values of `payload` then replace the values of the active job's payload, key by key. A running job may
    have passed the point where it would see the change, so it is also marked to run again at its end. Raises
    RuntimeError if the job cannot be created after five tries, and IntegrityError if the dataset was deleted.
    """
    key = key or f"{kind}:{dataset.pk if dataset is not None else ''}"
    for _attempt in range(5):
        try:
            with transaction.atomic():
                job = Job.objects.create(
                    kind=kind,
                    dataset_id=dataset.pk if dataset is not None else None,
                    key=key,
                    payload=payload or {},
                    created_by=user,
                )
                record(kind="job.queued", actor=user, dataset=dataset, target=job, data={"kind": str(kind)})
        except IntegrityError as error:
            if not _is_key_conflict(error):
                raise
            with transaction.atomic():
                active = Job.objects.select_for_update().filter(key=key, state__in=ACTIVE_STATES).first()
                if active is None:  # It ended between the two statements.
                    continue
                before = active.rerun_requested, active.payload
                active.rerun_requested = active.rerun_requested or active.state == State.RUNNING
                active.payload = {**active.payload, **(payload or {})}
                if before != (active.rerun_requested, active.payload):
                    active.save(update_fields=["rerun_requested", "payload"])
                return active
        send_on_commit(job)
        return job
    raise RuntimeError(f"Could not enqueue {key}: it kept starting and ending meanwhile.")


def _is_key_conflict(error: IntegrityError) -> bool:
    """Return whether another active job has the same key. The other reason is a deleted dataset or user."""
    cause = error.__cause__
    return isinstance(cause, UniqueViolation) and cause.diag.constraint_name == "one_active_job_per_key"


def send_on_commit(job: Job) -> None:
    """Send the job to the broker after the commit, when a worker can see the row.

    No error is raised if the broker cannot be reached, because the sweeper sends the message again.
    """
    transaction.on_commit(lambda: send(str(job.pk), job.kind))


def send(job_id: str, kind: str) -> bool:
    """Send the message of a job to the broker. Return True if the broker took it.

    The call takes about one second at most.
    """
    sent = broker.send(f"workers.tasks.{kind}", [job_id])
    if sent:
        Job.objects.filter(pk=job_id, state=State.QUEUED).update(sent_at=Now())
    return sent


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
            _end(job, State.CANCELLED)
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


def beat(job: Job, **fields: Unpack[ProgressFields]) -> None:
    """Store that the worker is alive and how far the job is. Sets `job.holder_stops`.

    Raises LostClaimError if another worker has claimed
    the job, and CancelledError if the job must stop.
    """
    mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
    if not mine.update(heartbeat_at=Now(), beats=F("beats") + 1, **fields):
        raise LostClaimError(str(job.pk))
    for name, value in fields.items():
        setattr(job, name, value)
    asked = mine.values_list("cancel_requested", "holder_stops").first()
    if asked is None:
        raise LostClaimError(str(job.pk))
    cancelled, job.holder_stops = asked
    if cancelled:
        raise CancelledError(str(job.pk))


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
        send_on_commit(job)


def forget_deaths(job: Job) -> None:
    """Set the count of dead workers to 0, because the cause was found and the job continued after it."""
    Job.objects.filter(pk=job.pk, attempt=job.attempt).update(deaths=0)


def succeed(job: Job, result: dict[str, Any] | None = None) -> None:
    """Store the result of a job that succeeded.

    If the same work was requested while the job was running, it is enqueued again.
    """
    _finish(job, State.SUCCEEDED, result=result or {})


def fail(job: Job, error: str, *, texts: TranslatedText | None = None, retry: bool = False) -> None:
    """Store why the job failed. With `retry`, return it to the queue until its retries are used up.

    `texts` holds `error` in every language. If the same work was requested while the job was running (for
    example after somebody fixed the cause), it is enqueued again.
    """
    if retry and may_retry(job):
        with transaction.atomic():
            if not Job.objects.filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING).update(
                state=State.QUEUED,
                error=error,
                error_texts=texts or {},
                sent_at=None,
                retries=F("retries") + 1,
            ):
                raise LostClaimError(str(job.pk))
            send_on_commit(job)
        return
    _finish(job, State.FAILED, error=error, texts=texts)


def may_retry(job: Job) -> bool:
    """Return whether the job may go back to the queue after a temporary error."""
    return job.retries + 1 < job.max_attempts


def decline(job: Job, *, worker: str, reason: str, texts: TranslatedText | None = None) -> None:
    """Return a job to the queue because this worker may not do it; another worker takes it.

    It costs none of the job's attempts. `worker` is the host name of the worker. `reason` is shown while the
    job waits, and `texts` holds it in every language. Raises LostClaimError if another worker has claimed the
    job.
    """
    with transaction.atomic():
        row = (
            Job.objects.select_for_update()
            .filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
            .first()
        )
        if row is None:
            raise LostClaimError(str(job.pk))
        if row.cancel_requested:
            _end(row, State.CANCELLED)
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
        send_on_commit(row)
    job.state = State.QUEUED


def finish_cancelled(job: Job) -> None:
    """Store that the worker has stopped on request. The results that it has already stored stay."""
    _finish(job, State.CANCELLED)


def _finish(
    job: Job,
    state: State,
    *,
    result: dict[str, Any] | None = None,
    error: str = "",
    texts: TranslatedText | None = None,
) -> None:
    with transaction.atomic():
        row = (
            Job.objects.select_for_update()
            .filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
            .first()
        )
        if row is None:
            raise LostClaimError(str(job.pk))
        _end(row, state, result=result, error=error, texts=texts)
    job.state = state


def _end(
    row: Job,
    state: State,
    *,
    result: dict[str, Any] | None = None,
    error: str = "",
    texts: TranslatedText | None = None,
) -> None:
    """End a locked job. Unless it was cancelled, enqueue it again if that was requested meanwhile."""
    row.state = state
    row.result = result or {}
    row.error, row.error_texts = error, texts or {}
    row.finished_at = clock.now()
    row.save(update_fields=["state", "result", "error", "error_texts", "finished_at"])
    record(
        kind=f"job.{state}",
        actor=row.created_by,
        dataset=row.dataset,
        target=row,
        data={
            "kind": row.kind,
            "error": {language: text[:500] for language, text in texts.items()} if texts else error[:500],
        },
    )
    if row.rerun_requested and state != State.CANCELLED:
        enqueue(
            kind=Kind(row.kind), dataset=row.dataset, key=row.key, payload=row.payload, user=row.created_by
        )


def _require_admin(user: User, job: Job) -> None:
    """Raise PermissionDenied unless the user is an admin of the job's dataset.

    A job without a dataset belongs to the platform.
    """
    if job.dataset is None:
        require_platform_admin(user)
    else:
        require_role(user, job.dataset, Role.ADMIN)


def cancel(*, job: Job, user: User | None) -> None:
    """Cancel a job. A queued job ends now; a running job ends at its next heartbeat.

    `user` is None for the platform. Raises PermissionDenied unless the user is an admin of the dataset, or of
    the platform for a job without a dataset.
    """
    if user is not None:
        _require_admin(user, job)
    with transaction.atomic():
        row = Job.objects.select_for_update().get(pk=job.pk)
        if row.state not in ACTIVE_STATES:
            return
        row.cancel_requested = True
        row.save(update_fields=["cancel_requested"])
        record(
            kind="job.cancel_requested",
            actor=user,
            dataset=row.dataset,
            target=row,
            data={"kind": row.kind},
        )
        if row.state == State.QUEUED:
            _end(row, State.CANCELLED)


@transaction.atomic
def retry(*, job: Job, user: User) -> Job:
    """Enqueue work that failed or was cancelled as a new job with the same kind, key and payload.

    Raises PermissionDenied unless the user is an admin of the dataset, or of the platform for a job without a
    dataset. Raises ValidationError if the job succeeded or has not ended, if the same work is already queued
    or running, or if its kind was removed from the product.
    """
    _require_admin(user, job)
    if job.state not in UNSUCCESSFUL_STATES:
        raise ValidationError(_("Only a job that failed or was cancelled can be tried again."))
    if Job.objects.filter(key=job.key, state__in=ACTIVE_STATES).exists():
        raise ValidationError(_("The same work waits or runs already. Nothing was added."))
    if job.kind not in Kind.values:
        raise ValidationError(
            _("This version of Mekiki no longer does this kind of work. Nothing was added.")
        )
    again = enqueue(kind=Kind(job.kind), dataset=job.dataset, key=job.key, payload=job.payload, user=user)
    record(
        kind="job.retried",
        actor=user,
        dataset=job.dataset,
        target=again,
        data={"kind": job.kind, "of": str(job.pk)},
    )
    return again


def handle_dead_worker(*, job_id: UUID, attempt: int, beats: int) -> str:
    """Requeue or end a running job whose worker died. Return its new state, or "" if the worker is alive.

    `attempt` and `beats` are the values that were seen during the whole wait. A job that has changed since
    then is left alone. The death is not counted if the worker was asked to stop.
    """
    with transaction.atomic():
        seen = Job.objects.filter(pk=job_id, state=State.RUNNING, attempt=attempt, beats=beats)
        row = seen.select_for_update(skip_locked=True).first()
        if row is None:
            return ""
        if row.cancel_requested:
            _end(row, State.CANCELLED)
            return State.CANCELLED
        if not row.holder_stops:
            row.deaths += 1
        if row.deaths >= row.max_attempts:
            texts = in_every_language(lambda: _death_sentence(row.deaths))
            asked_in = getattr(row.created_by, "language", "") or settings.LANGUAGE_CODE
            row.save(update_fields=["deaths"])
            with translation.override(asked_in):
                _end(row, State.FAILED, error=translate_stored_text(texts), texts=texts)
            return State.FAILED
        row.state, row.sent_at = State.QUEUED, None
        row.save(update_fields=["state", "sent_at", "deaths"])
        return State.QUEUED


def _death_sentence(deaths: int) -> str:
    return _(
        "The worker died %(n)s times while it did this job. What was stored is kept. See the worker's log "
        "for the cause (often too little memory), then start the job again."
    ) % {"n": deaths}
