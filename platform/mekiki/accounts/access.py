"""Who may do what. Roles are ordered: an admin may all a reviewer may, a reviewer all a viewer may."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from mekiki.accounts.models import Membership, Role, User

_RANK = {Role.VIEWER: 1, Role.REVIEWER: 2, Role.ADMIN: 3}


def person(request: HttpRequest) -> User:
    """Who asks. Only for pages behind the login, where it is always somebody."""
    assert isinstance(request.user, User)
    return request.user


def role_in(user: User, dataset) -> str | None:
    """The user's role in the dataset; admin for the platform's admins; None for a stranger."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    return Membership.objects.filter(user=user, dataset=dataset).values_list("role", flat=True).first()


def at_least(role: str | None, needed: str) -> bool:
    """Does `role` include `needed`?"""
    return role is not None and _RANK[Role(role)] >= _RANK[Role(needed)]


def require_platform_admin(user: Any) -> None:
    """PermissionDenied unless the user is the platform's admin."""
    if not (user.is_authenticated and user.is_superuser):
        raise PermissionDenied(_("Only an admin of the platform can do this."))


def user_for(actor: Any, user_id: int) -> User:
    """Any user, for the platform's admins. PermissionDenied for others, Http404 when there is none."""
    require_platform_admin(actor)
    found = User.objects.filter(pk=user_id).first() if user_id < 2**63 else None
    if found is None:
        raise Http404
    return found
