"""What users do with jobs: cancel them, and try them again."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_platform_admin, require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.jobs.models import ACTIVE_STATES, UNSUCCESSFUL_STATES, Job, Kind, State
from mekiki.jobs.services.ending import end_job
from mekiki.jobs.services.enqueueing import enqueue, send_message_on_commit

# Kinds of jobs that a user can pause. Their stages go on after the last result that they have stored.
PAUSABLE = (Kind.IMPORT_IMAGES,)
PAUSED = "paused"  # a reason of jobs.waiting


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
            end_job(row, State.CANCELLED)


@transaction.atomic
def pause(*, job: Job, user: User) -> None:
    """Pause a job of PAUSABLE. A running job goes back to the queue at its next heartbeat; its results stay.

    Raises PermissionDenied unless the user is an admin of the dataset, and ValidationError if the job has
    ended or is of another kind.
    """
    _require_admin(user, job)
    row = Job.objects.select_for_update().get(pk=job.pk)
    if row.kind not in PAUSABLE or row.state not in ACTIVE_STATES or row.cancel_requested:
        raise ValidationError(_("Only an import that waits or runs can be paused."))
    if row.paused:
        return
    row.paused = True
    if row.state == State.QUEUED:
        row.waiting_for = PAUSED
    row.save(update_fields=["paused", "waiting_for"])
    record(kind="job.paused", actor=user, dataset=row.dataset, target=row, data={"kind": row.kind})


@transaction.atomic
def resume(*, job: Job, user: User) -> None:
    """Resume a paused job. It goes on after the last result that it has stored.

    Raises PermissionDenied unless the user is an admin of the dataset.
    """
    _require_admin(user, job)
    row = Job.objects.select_for_update().get(pk=job.pk)
    if not row.paused:
        return
    row.paused, row.waiting_for = False, ""
    row.save(update_fields=["paused", "waiting_for"])
    record(kind="job.resumed", actor=user, dataset=row.dataset, target=row, data={"kind": row.kind})
    if row.state == State.QUEUED:
        send_message_on_commit(row)


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


def _require_admin(user: User, job: Job) -> None:
    """Raise PermissionDenied unless the user is an admin of the job's dataset.

    A job without a dataset belongs to the platform.
    """
    if job.dataset is None:
        require_platform_admin(user)
    else:
        require_role(user, job.dataset, Role.ADMIN)
