"""Permissions of users.

Roles are ordered: an admin has all rights of a reviewer, and a reviewer has all rights of a viewer.
"""

from typing import Protocol

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _

from mekiki.accounts.models import Membership, Role, User


class DatasetLike(Protocol):
    """A dataset, for apps that are below datasets and cannot import its models (accounts, audit, jobs)."""

    pk: int
    slug: str
    role: str | None
    role_of: int | None


_RANK = {Role.VIEWER: 1, Role.REVIEWER: 2, Role.ADMIN: 3}


def role_in(user: User, dataset: DatasetLike) -> str | None:
    """Return the user's role in the dataset, or None for a user without a role.

    Admins of the platform are admins of every dataset. An inactive user has no role.
    """
    if user.is_authenticated and user.is_active and not user.is_superuser:
        roles = Membership.objects.filter(user=user, dataset_id=dataset.pk).values_list("role", flat=True)
        return role_of(user, roles.first())
    return role_of(user, None)


def role_of(user: User, membership: str | None) -> str | None:
    """Return the user's role in a dataset, given the role of the membership, or None without a role."""
    if not user.is_authenticated or not user.is_active:
        return None
    return Role.ADMIN if user.is_superuser else membership


def includes_role(role: str | None, needed: str) -> bool:
    """Return whether `role` includes the rights of `needed`."""
    return role is not None and _RANK[Role(role)] >= _RANK[Role(needed)]


def require_role(user: User, dataset: DatasetLike, needed: str) -> None:
    """Raise PermissionDenied unless the user's role in the dataset includes the rights of `needed`.

    A dataset from datasets.access.dataset_for carries the role of its user. For other datasets, the role is
    read from the database.
    """
    known = dataset.role_of is not None and dataset.role_of == user.pk
    held = dataset.role if known else role_in(user, dataset)
    if held is None:
        raise PermissionDenied(
            _("This needs the role “%(needed)s” in this dataset, and you have no role in it.")
            % {"needed": Role(needed).label}
        )
    if not includes_role(held, needed):
        raise PermissionDenied(
            _("This needs the role “%(needed)s” in this dataset; yours is “%(held)s”.")
            % {"needed": Role(needed).label, "held": Role(held).label}
        )


def is_adjudicator(user: User, dataset: DatasetLike) -> bool:
    """Return whether the user may rule where reviewers disagree: adjudicators and admins of the dataset."""
    known = dataset.role_of is not None and dataset.role_of == user.pk
    held = dataset.role if known else role_in(user, dataset)
    if not includes_role(held, Role.REVIEWER):
        return False
    if includes_role(held, Role.ADMIN):
        return True
    return Membership.objects.filter(user=user, dataset_id=dataset.pk, is_adjudicator=True).exists()


def require_adjudicator(user: User, dataset: DatasetLike) -> None:
    """Raise PermissionDenied unless the user is an adjudicator or an admin of the dataset."""
    require_role(user, dataset, Role.REVIEWER)
    if not is_adjudicator(user, dataset):
        raise PermissionDenied(
            _("Only adjudicators of this dataset can do this. An admin names them on the page “Members”.")
        )


def require_platform_admin(user: User) -> None:
    """Raise PermissionDenied unless the user is an admin of the platform."""
    if not (user.is_active and user.is_superuser):
        raise PermissionDenied(_("Only an admin of the platform can do this."))


def require_may_create_datasets(user: User) -> None:
    """Raise PermissionDenied unless the user may create datasets."""
    if not (user.is_active and (user.may_create_datasets or user.is_superuser)):
        raise PermissionDenied(_("You may not create datasets. Ask an admin of the platform to allow it."))


def require_same_user(actor: User, user: User) -> None:
    """Raise PermissionDenied unless the actor is the user whose account changes."""
    if actor.pk != user.pk:
        raise PermissionDenied(_("Only the user of this account can do this."))


def get_user_for_admin(actor: User, user_id: int) -> User:
    """Return a user for an admin of the platform.

    Raises PermissionDenied if `actor` is not an admin of the platform, and Http404 if no user has this id.
    """
    require_platform_admin(actor)
    user = User.objects.filter(pk=user_id).first() if user_id < 2**63 else None
    if user is None:
        raise Http404
    return user
