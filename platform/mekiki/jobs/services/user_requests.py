"""What users do with jobs: cancel them, and try them again."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_platform_admin, require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.jobs.models import ACTIVE_STATES, UNSUCCESSFUL_STATES, Job, Kind, State
from mekiki.jobs.services.ending import end_job
from mekiki.jobs.services.enqueueing import enqueue


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
