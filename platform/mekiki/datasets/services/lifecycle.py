"""Restoring and deleting of datasets. A deletion answers at once; the files are purged 30 days later.

A purge deletes what shows the images. The audit record stays (docs/decisions/0058).
"""

from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.datasets.services.datasets import archive_dataset
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import enqueue

# A deleted dataset can be restored for this time.
RESTORABLE = timedelta(days=30)


def purge_time(dataset: Dataset) -> datetime | None:
    """Return when the files of a deleted dataset may be purged, or None if the dataset is not deleted."""
    return None if dataset.deleted_at is None else dataset.deleted_at + RESTORABLE


@transaction.atomic
def delete_dataset(*, dataset: Dataset, user: User, name: str) -> Dataset:
    """Archive a dataset if it is not archived, and mark it for the purge of its files after RESTORABLE.

    `name` is the name of the dataset, typed by the user. Raises PermissionDenied unless the user is an admin
    of the dataset, and ValidationError if `name` is another name. Nothing happens to a deleted dataset.
    """
    require_role(user, dataset, Role.ADMIN)
    if name.strip() != dataset.name:
        raise ValidationError(
            _("Nothing was deleted: the name you typed is not the name of this dataset."), code="name"
        )
    archive_dataset(dataset=dataset, user=user)
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    if row.deleted_at is not None:
        return row
    row.deleted_at = clock.now()
    row.save(update_fields=["deleted_at"])
    record(
        kind="dataset.deleted",
        actor=user,
        dataset=row,
        target=row,
        data={"name": row.name, "purged_after": (row.deleted_at + RESTORABLE).isoformat()},
    )
    return row


@transaction.atomic
def restore_dataset(*, dataset: Dataset, user: User) -> Dataset:
    """Show an archived or deleted dataset again. Its cancelled jobs are not started again.

    Raises PermissionDenied unless the user is an admin of the dataset, and ValidationError if the purge of
    its files has begun.
    """
    require_role(user, dataset, Role.ADMIN)
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    if row.purge_begun_at is not None:
        raise ValidationError(
            _("The files of this dataset are being deleted. It can no longer be restored."), code="purged"
        )
    if row.archived_at is None:
        return row
    before = "archived" if row.deleted_at is None else "deleted"
    row.archived_at = row.deleted_at = None
    row.save(update_fields=["archived_at", "deleted_at"])
    record(kind="dataset.restored", actor=user, dataset=row, target=row, data={"from": before})
    return row


def request_due_purges() -> dict[str, int]:
    """Start the purge of datasets that were deleted longer than RESTORABLE ago. The sweeper calls it.

    A purge that failed is started again.
    """
    # A time in the future, after the clock was set back, is not due: a purge cannot be undone.
    due = Dataset.objects.filter(deleted_at__lte=clock.now() - RESTORABLE, purged_at__isnull=True)
    return {
        "purges": sum(
            _request_purge(pk) is not None for pk in due.order_by("pk").values_list("pk", flat=True)
        )
    }


@transaction.atomic
def _request_purge(dataset_id: int) -> Job | None:
    """Mark the beginning of a purge, after which the dataset cannot be restored, and enqueue its job."""
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset_id)
    if row.deleted_at is None or row.purged_at is not None:
        return None
    if row.purge_begun_at is None:
        row.purge_begun_at = clock.now()
        row.save(update_fields=["purge_begun_at"])
    return enqueue(kind=Kind.PURGE, dataset=row)


@transaction.atomic
def record_purge(*, dataset: Dataset, removed: dict[str, Any]) -> None:
    """Mark the purge of a dataset as complete, with an event. Called by the platform."""
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    if row.purged_at is not None:
        return
    row.purged_at = clock.now()
    row.save(update_fields=["purged_at"])
    record(kind="dataset.purged", dataset=row, target=row, data=removed)
