"""Permissions of users.

Roles are ordered: an admin has all rights of a reviewer, and a reviewer has all rights of a viewer.
"""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _

from mekiki.accounts.models import Membership, Role, User

_RANK = {Role.VIEWER: 1, Role.REVIEWER: 2, Role.ADMIN: 3}


def role_in(user: User, dataset) -> str | None:
    """Return the user's role in the dataset, or None for a user without a role.

    Admins of the platform are admins of every dataset. An inactive user has no role.
    """
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    return Membership.objects.filter(user=user, dataset=dataset).values_list("role", flat=True).first()


def at_least(role: str | None, needed: str) -> bool:
    """Return whether `role` includes the rights of `needed`."""
    return role is not None and _RANK[Role(role)] >= _RANK[Role(needed)]


def require_platform_admin(user: Any) -> None:
    """Raise PermissionDenied unless the user is an admin of the platform."""
    if not (user.is_authenticated and user.is_superuser):
        raise PermissionDenied(_("Only an admin of the platform can do this."))


def user_for(actor: Any, user_id: int) -> User:
    """Return a user for an admin of the platform.

    Raises PermissionDenied if `actor` is not an admin of the platform, and Http404 if no user has this id.
    """
    require_platform_admin(actor)
    found = User.objects.filter(pk=user_id).first() if user_id < 2**63 else None
    if found is None:
        raise Http404
    return found
