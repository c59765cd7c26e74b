"""The authentication backend: check a password, and load the user of a session."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db.models import BooleanField, ExpressionWrapper, QuerySet, Subquery
from django.http import HttpRequest

from mekiki.accounts import logins
from mekiki.accounts.models import SiteSettings, User
from mekiki.accounts.second_factor.selectors import lacks_required_factor_q
from mekiki.config.compiled import CompiledQuery, Parameter


def _user(user_id: Parameter) -> QuerySet[User]:
    """Return the user with the attributes that `get_user` adds. Every request reads it."""
    zone = Subquery(SiteSettings.objects.values("time_zone")[:1])
    lacks = ExpressionWrapper(lacks_required_factor_q(), output_field=BooleanField())
    return User.objects.annotate(stored_time_zone=zone, lacks_second_factor=lacks).filter(pk=user_id)


_USER = CompiledQuery(_user)


class SiteBackend(ModelBackend):
    """Django's backend with protection against password guessing.

    Every login with a password uses this backend, from Django's forms and from allauth's. It is the only
    backend that accepts a password (a test checks this). It loads the time zone of the site in the same query
    as the user.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> User | None:
        """Return the user with this name and password, or None.

        Raises LoginSlowed, a ValidationError, if the try must wait.
        """
        name = username if username is not None else more.get(User.USERNAME_FIELD)
        if not name or not password:
            return None
        attempt = logins.check_login_allowed(name=name, password=password, request=request)
        user = super().authenticate(request, username=name, password=password)
        if user is None:
            logins.record_login_failure(attempt, door="login")
            return None
        logins.record_login_success(attempt)
        assert isinstance(user, User)
        return user

    def get_user(self, user_id: int) -> User | None:
        """Return the active user of a session, or None if there is none.

        The user has two more attributes. `stored_time_zone` is the time zone of the site.
        `lacks_second_factor` is true if admins need a second factor and this admin has none.
        """
        user = _USER.first(user_id=user_id)
        return user if user is not None and self.user_can_authenticate(user) else None
