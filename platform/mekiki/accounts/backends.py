"""Logging in, and loading the user of a session."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db.models import BooleanField, ExpressionWrapper, Subquery
from django.http import HttpRequest

from mekiki.accounts import logins
from mekiki.accounts.models import SiteSettings, User
from mekiki.accounts.second_factor.selectors import lacking


class SiteBackend(ModelBackend):
    """Django's own, behind the rules against guessing, with the site's time zone loaded in the same query.

    Whoever logs in by a password passes here, by Django's forms as by allauth's: it is the only backend that takes
    one (a test holds this).
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **more: Any,
    ) -> User | None:
        """Return the user whose password this is. LoginSlowed, a ValidationError, when the try has to wait."""
        name = username if username is not None else more.get(User.USERNAME_FIELD)
        if not name or not password:
            return None
        attempt = logins.check_login_allowed(name=name, password=password, request=request)
        user = super().authenticate(request, username=name, password=password)
        if user is None:
            logins.record_login_failure(attempt, door="login")
            return None
        logins.record_password_right(attempt)
        assert isinstance(user, User)
        return user

    def get_user(self, user_id: int) -> User | None:
        """Return the active user of a session, or None when there is none.

        With `stored_time_zone`, and `lacks_second_factor`: admins need one, and this admin has none.
        """
        zone = Subquery(SiteSettings.objects.values("time_zone")[:1])
        lacks = ExpressionWrapper(lacking(), output_field=BooleanField())
        users = User.objects.annotate(stored_time_zone=zone, lacks_second_factor=lacks)
        user = users.filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
