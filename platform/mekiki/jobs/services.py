"""Durable jobs: asked for once, claimed by one worker, never lost, never done twice with effect.

The life of a job: `enqueue` writes the row and, after the commit, sends its id to the broker. A worker
`claim`s it, which raises `attempt`; from then on that worker's writes carry the attempt and are refused
once another has claimed the job (fencing). `jobs.sweeping` sends again what the broker lost, and gives back what
a dead worker held.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import translation
from django.utils.translation import gettext as _

from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.jobs import broker
from mekiki.jobs.errors import Texts, for_reader, in_every_language
from mekiki.jobs.models import ACTIVE_STATES, ENDED_EARLY, Job, Kind, State

# A worker that may not do a job looks again after this long: somebody may have mended it.
DECLINED_FOR = timedelta(minutes=5)


class LostClaimError(Exception):
    """Another worker holds this job now: stop, and write nothing more."""


class CancelledError(Exception):
    """A person asked for the job to stop."""


class WorkerStopsError(Exception):
    """The worker was asked to stop: what it has not finished goes back to the queue."""


def enqueue(
    *,
    kind: Kind,
    dataset: Any = None,
    key: str = "",
    payload: dict[str, Any] | None = None,
    user: Any = None,
) -> Job:
    """Ask for a piece of work; returns the job, or the active one with the same key.

    When the active one is already running it may have passed the point of noticing what changed, so it is
    marked to run again at its end.
    """
    key = key or f"{kind}:{getattr(dataset, 'pk', '')}"
    for _attempt in range(5):
        try:
            with transaction.atomic():
                job = Job.objects.create(
                    kind=kind,
                    dataset=dataset,
                    key=key,
                    payload=payload or {},
                    created_by=user if getattr(user, "pk", None) else None,
                )
                record(kind="job.queued", actor=user, dataset=dataset, target=job, data={"kind": str(kind)})
        except IntegrityError:
            with transaction.atomic():
                active = Job.objects.select_for_update().filter(key=key, state__in=ACTIVE_STATES).first()
                if active is None:  # It ended between the two statements: try to create again.
                    continue
                if active.state == State.RUNNING and not active.rerun_requested:
                    active.rerun_requested = True
                    active.payload = {**active.payload, **(payload or {})}
                    active.save(update_fields=["rerun_requested", "payload"])
                return active
        send_on_commit(job)
        return job
    raise RuntimeError(f"Could not enqueue {key}: it kept starting and ending meanwhile.")


def send_on_commit(job: Job) -> None:
    """Wake a worker once the row is visible to it. A broker that is down is no error: the sweeper sends again."""
    transaction.on_commit(lambda: send(str(job.pk), job.kind))


def send(job_id: str, kind: str) -> bool:
    """Hand a job's message to the broker; True when it took the message. At most about a second."""
    sent = broker.send(f"workers.tasks.{kind}", [job_id])
    if sent:
        Job.objects.filter(pk=job_id, state=State.QUEUED).update(sent_at=Now())
    return sent


def claim(job_id: str, worker: str = "", holder: str = "") -> Job | None:
    """Take a queued job for this worker. None when it is taken, ended or cancelled: nothing is to be done.

    worker: its host name; holder: what is unique for this start of it. None too where this worker put the job back a
    short while ago.
    """
    with transaction.atomic():
        # Waits for a row that an `enqueue` of the same key is looking at: skipped, the message would be spent and
        # the job would wait for the sweeper.
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
                "waiting_for", "state", "attempt", "holder", "holder_stops", "started_at", "heartbeat_at", "error", "error_texts",
            ]
        )  # fmt: skip
    return job


def beat(job: Job, **fields: Any) -> None:
    """Say that the worker is alive, and how far it is. Sets `job.holder_stops`.

    fields: stage, done, total, rate, unit. LostClaimError: another worker has it. CancelledError: stop.
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


def announce_stop(*, holder: str) -> int:
    """Note that a worker was asked to stop. Jobs that it does not finish go back to the queue and no death is counted.

    Returns how many jobs it has in its hands.
    """
    return Job.objects.filter(state=State.RUNNING, holder=holder).update(holder_stops=True)


def put_back(job: Job) -> None:
    """Put a job back whose worker stops as planned; another worker goes on with it. LostClaimError."""
    with transaction.atomic():
        mine = Job.objects.filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
        if not mine.update(state=State.QUEUED, sent_at=None):
            raise LostClaimError(str(job.pk))
        send_on_commit(job)


def forget_deaths(job: Job) -> None:
    """Count the deaths of workers anew: what killed them was found, and the job has got past it."""
    Job.objects.filter(pk=job.pk, attempt=job.attempt).update(deaths=0)


def succeed(job: Job, result: dict[str, Any] | None = None) -> None:
    """Record the outcome; asks for the same work again when it was asked for meanwhile."""
    _finish(job, State.SUCCEEDED, result=result or {})


def fail(job: Job, error: str, *, texts: Texts | None = None, retry: bool = False) -> None:
    """Record why it ended; texts: the same in every language. With retry, it goes back to the queue until its attempts are used up.

    Asked for again meanwhile (a person has mended what made it fail, say), it begins anew.
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
    """Return whether an error that may pass puts the job back to the queue, and does not end it."""
    return job.retries + 1 < job.max_attempts


def decline(job: Job, *, worker: str, reason: str, texts: Texts | None = None) -> None:
    """Put a job back that this worker may not do; another worker takes it. It costs none of its attempts.

    worker: its host name. reason: shown while the job waits; texts: the same in every language. LostClaimError: another worker holds the job.
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
    """Record that the worker has stopped on request. What it had stored stays."""
    _finish(job, State.CANCELLED)


def _finish(
    job: Job,
    state: State,
    *,
    result: dict[str, Any] | None = None,
    error: str = "",
    texts: Texts | None = None,
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
        if row.rerun_requested and state != State.CANCELLED:
            enqueue(
                kind=Kind(row.kind),
                dataset=row.dataset,
                key=row.key,
                payload=row.payload,
                user=row.created_by,
            )
    job.state = state


def _end(
    row: Job,
    state: State,
    *,
    result: dict[str, Any] | None = None,
    error: str = "",
    texts: Texts | None = None,
) -> None:
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


def cancel(*, job: Job, user: Any) -> None:
    """Ask a job to stop. A queued one stops now; a running one at its next sign of life."""
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
def retry(*, job: Job, user: Any) -> Job:
    """Ask again for work that failed or was cancelled: a new job of the same kind, key and payload.

    ValidationError: it ended well or has not ended, or the same work waits or runs already.
    """
    if job.state not in ENDED_EARLY:
        raise ValidationError(_("Only a job that failed or was cancelled can be tried again."))
    if Job.objects.filter(key=job.key, state__in=ACTIVE_STATES).exists():
        raise ValidationError(_("The same work waits or runs already. Nothing was added."))
    again = enqueue(kind=Kind(job.kind), dataset=job.dataset, key=job.key, payload=job.payload, user=user)
    record(
        kind="job.retried",
        actor=user,
        dataset=job.dataset,
        target=again,
        data={"kind": job.kind, "of": str(job.pk)},
    )
    return again


def worker_died(*, job_id: Any, attempt: int, beats: int) -> str:
    """Give back, or end, a running job whose worker shows no sign of life; what became of it, "" when it lives.

    attempt, beats: as they were seen all the while; a job that has moved on since is left alone. A worker that was asked
    to stop did not die of the job.
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
                _end(row, State.FAILED, error=for_reader(texts), texts=texts)
            return State.FAILED
        row.state, row.sent_at = State.QUEUED, None
        row.save(update_fields=["state", "sent_at", "deaths"])
        return State.QUEUED


def _death_sentence(deaths: int) -> str:
    return _(
        "The worker died %(n)s times while it did this job. What was stored is kept. See the worker's log for the cause "
        "(often too little memory), then start the job again."
    ) % {"n": deaths}
