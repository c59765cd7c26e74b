"""Services that change storage limits. Only admins of the platform may use them."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.models import User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset, PlatformQuota

LARGEST = 10**15


@transaction.atomic
def set_dataset_limits(
    *, dataset: Dataset, user: User | None, max_images: int | None, max_bytes: int | None
) -> Dataset:
    """Set the storage limits of a dataset. None means no limit.

    Nothing is removed if the dataset stores more already. `user` is None on the command line. Raises
    PermissionDenied unless the user is an admin of the platform. Raises ValidationError if a limit is out of
    range.
    """
    if user is not None:
        require_platform_admin(user)
    _check_limits(max_images, max_bytes)
    row = Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    before = {"max_images": row.max_images, "max_bytes": row.max_bytes}
    after = {"max_images": max_images, "max_bytes": max_bytes}
    if before == after:
        return row
    row.max_images, row.max_bytes = max_images, max_bytes
    row.save(update_fields=["max_images", "max_bytes"])
    record(
        kind="dataset.limits_changed",
        actor=user,
        dataset=row,
        target=row,
        data={"before": before, "after": after},
    )
    return row


@transaction.atomic
def set_platform_limits(*, user: User | None, max_images: int | None, max_bytes: int | None) -> PlatformQuota:
    """Set the storage limits of all datasets together. None means no limit.

    `user` is None on the command line. Raises the same errors as set_dataset_limits.
    """
    if user is not None:
        require_platform_admin(user)
    _check_limits(max_images, max_bytes)
    PlatformQuota.objects.get_or_create(pk=PlatformQuota.ONLY)
    row = PlatformQuota.objects.select_for_update().get(pk=PlatformQuota.ONLY)
    before = {"max_images": row.max_images, "max_bytes": row.max_bytes}
    after = {"max_images": max_images, "max_bytes": max_bytes}
    if before == after:
        return row
    row.max_images, row.max_bytes = max_images, max_bytes
    row.save()
    record(kind="site.limits_changed", actor=user, target=row, data={"before": before, "after": after})
    return row


def _check_limits(*limits: int | None) -> None:
    if any(limit is not None and not 1 <= limit <= LARGEST for limit in limits):
        raise ValidationError(
            _("A limit is a number from 1 to %(largest)s, or empty. Nothing was changed."),
            params={"largest": LARGEST},
        )
