"""Queries on users and memberships."""

from django.db.models import QuerySet

from mekiki.accounts.access import DatasetLike
from mekiki.accounts.models import Membership, Role, User
from mekiki.config.keyset import page_by

PAGE = 50


def users(*, after: str = "", search: str = "") -> tuple[list[User], str]:
    """Return a page of users by name, and the name to continue after ("" at the end).

    `search` is a part of the name.
    """
    rows = User.objects.filter(username__icontains=search) if search else User.objects.all()
    page, more = page_by(rows, "username", PAGE, after=after or None)
    return page, more or ""


def user_named(name: str) -> User | None:
    """Return the user with this name in any case and width, or None if there is none."""
    try:
        return User.objects.get_by_natural_key(name.strip())
    except User.DoesNotExist:
        return None


def members(dataset: DatasetLike) -> QuerySet[Membership]:
    """Return the memberships of a dataset with their users, by user name."""
    return Membership.objects.filter(dataset_id=dataset.pk).select_related("user").order_by("user__username")


def memberships_of(user: User) -> QuerySet[Membership]:
    """Return the memberships of a user with their datasets, by dataset name."""
    return (
        Membership.objects.filter(user=user, dataset__archived_at__isnull=True)
        .select_related("dataset")
        .order_by("dataset__name")
    )


def datasets_without_admin(user: User) -> list[str]:
    """Return the names of datasets that have no active admin now, and of which the user is an admin."""
    admins = Membership.objects.filter(role=Role.ADMIN)
    active = admins.filter(user__is_active=True).values("dataset_id")
    rows = admins.filter(user=user, dataset__archived_at__isnull=True).exclude(dataset_id__in=active)
    return list(rows.order_by("dataset__name").values_list("dataset__name", flat=True))
