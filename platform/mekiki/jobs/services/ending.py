"""The end of a job: its result or its error, and the next run if one was requested meanwhile."""

from typing import Any

from django.db import transaction
from django.db.models import F

from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.jobs.errors import TranslatedText
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services.enqueueing import enqueue, send_message_on_commit
from mekiki.jobs.services.errors import LostClaimError


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
            send_message_on_commit(job)
        return
    _finish(job, State.FAILED, error=error, texts=texts)


def may_retry(job: Job) -> bool:
    """Return whether the job may go back to the queue after a temporary error."""
    return job.retries + 1 < job.max_attempts


def finish_cancelled(job: Job) -> None:
    """Store that the worker has stopped on request. The results that it has already stored stay."""
    _finish(job, State.CANCELLED)


def lock_claimed(job: Job) -> Job:
    """Lock the row of a job and return it. Raises LostClaimError if another worker has claimed the job."""
    claimed = Job.objects.select_for_update().filter(pk=job.pk, attempt=job.attempt, state=State.RUNNING)
    row = claimed.first()
    if row is None:
        raise LostClaimError(str(job.pk))
    return row


def _finish(
    job: Job,
    state: State,
    *,
    result: dict[str, Any] | None = None,
    error: str = "",
    texts: TranslatedText | None = None,
) -> None:
    with transaction.atomic():
        end_job(lock_claimed(job), state, result=result, error=error, texts=texts)
    job.state = state


def end_job(
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
