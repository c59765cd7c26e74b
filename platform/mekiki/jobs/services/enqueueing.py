"""New jobs: the row is stored first, and its id is sent to the broker after the commit."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from psycopg.errors import UniqueViolation

from mekiki.accounts.access import DatasetLike
from mekiki.accounts.models import User
from mekiki.audit.services import record
from mekiki.jobs import broker
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State


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
        send_message_on_commit(job)
        return job
    raise RuntimeError(f"Could not enqueue {key}: it kept starting and ending meanwhile.")


def _is_key_conflict(error: IntegrityError) -> bool:
    """Return whether another active job has the same key. The other reason is a deleted dataset or user."""
    cause = error.__cause__
    return isinstance(cause, UniqueViolation) and cause.diag.constraint_name == "one_active_job_per_key"


def send_message_on_commit(job: Job) -> None:
    """Send the job to the broker after the commit, when a worker can see the row.

    No error is raised if the broker cannot be reached, because the sweeper sends the message again.
    """
    transaction.on_commit(lambda: send_message(str(job.pk), job.kind))


def send_message(job_id: str, kind: str) -> bool:
    """Send the message of a job to the broker. Return True if the broker took it.

    The call takes about one second at most.
    """
    sent = broker.send(f"workers.tasks.{kind}", [job_id])
    if sent:
        Job.objects.filter(pk=job_id, state=State.QUEUED).update(sent_at=Now())
    return sent
