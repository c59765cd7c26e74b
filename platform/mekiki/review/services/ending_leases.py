"""The end of leases: renewed while somebody works, given back, or run out."""

from datetime import timedelta

from django.db import transaction

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.review.models import Lease, Stream
from mekiki.review.services.items import withdraw_left_gold
from mekiki.review.services.leases import lease_time

# Ended leases are kept this long, for answers that come late.
ENDED_LEASES_KEPT = timedelta(days=30)


@transaction.atomic
def renew(*, dataset: Dataset, user: User, lease_ids: list[int]) -> list[Lease]:
    """Renew the reviewer's active leases and return them. An expired lease is not renewed.

    Raises PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    now = clock.now()
    mine = Lease.objects.filter(
        pk__in=lease_ids, user=user, item__dataset=dataset, ended_at__isnull=True, expires_at__gt=now
    )
    leases = list(mine.order_by("pk").select_for_update(of=("self",)))
    if leases:
        Lease.objects.filter(pk__in=[lease.pk for lease in leases]).update(expires_at=now + lease_time())
    for lease in leases:
        lease.expires_at = now + lease_time()
    return leases


@transaction.atomic
def release(*, dataset: Dataset, user: User, lease_ids: list[int]) -> int:
    """End the given leases of the reviewer without an answer, and return how many were ended.

    Raises PermissionDenied if the user is not a reviewer.
    """
    require_role(user, dataset, Role.REVIEWER)
    mine = Lease.objects.filter(pk__in=lease_ids, user=user, item__dataset=dataset, ended_at__isnull=True)
    ids = list(mine.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    now = clock.now()
    withdraw_left_gold(ids, now)
    return Lease.objects.filter(pk__in=ids).update(ended_at=now) if ids else 0


@transaction.atomic
def release_expired_leases() -> int:
    """End the expired leases, delete leases that ended long ago, and return how many were ended.

    A periodic chore calls this every half minute. A lease that expires later than a new lease would is
    shortened to that time. Other code does not depend on this function, because it ignores a lease as soon as
    it has expired.
    """
    now = clock.now()
    # Such a lease was created before the clock was set back. Treat it as renewed now, so that it does not
    # last too long.
    longest = now + lease_time()
    Lease.objects.filter(ended_at__isnull=True, expires_at__gt=longest).update(expires_at=longest)
    rows = Lease.objects.filter(ended_at__isnull=True, expires_at__lte=now)
    ids = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:10_000])
    Lease.objects.filter(pk__in=ids).update(ended_at=now)
    withdraw_left_gold(ids, now)
    # A lease of a certificate's audit stays: it is the record that a reviewer has opened the image.
    old = Lease.objects.filter(ended_at__lt=now - ENDED_LEASES_KEPT)
    old.exclude(item__stream=Stream.CERTIFY).delete()
    return len(ids)
