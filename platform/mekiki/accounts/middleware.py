"""Middleware for languages, time zones, session use, forced password changes and device cookies."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.translation import check_for_language
from django.utils.translation import gettext as _

from mekiki.accounts import sessions, site
from mekiki.accounts.clients import client_of, set_device_cookie
from mekiki.accounts.http import user_or_none
from mekiki.accounts.restricting import RestrictingMiddleware


class LanguageMiddleware:
    """Middleware that activates the language of the user. It follows the authentication middleware.

    Before the login, and for a user without a language, Django's choice stays.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Activate the user's language for this request.

        The next request starts with Django's choice again.
        """
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated and user.language and check_for_language(user.language):
            translation.activate(user.language)
            request.LANGUAGE_CODE = translation.get_language()  # type: ignore[attr-defined]
        return self.get_response(request)


class TimeZoneMiddleware:
    """Middleware that activates the time zone of the site. It follows the authentication middleware.

    The zone was loaded together with the user (accounts/backends.py).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Activate the site's time zone for this request. Pages before the login show no times."""
        user = getattr(request, "user", None)
        stored = getattr(user, "stored_time_zone", None) if user is not None else None
        timezone.activate(ZoneInfo(site.zone_of_stored_name(stored)))
        return self.get_response(request)


class SessionUseMiddleware:
    """Middleware that keeps a session alive while a person uses it, and stores the client."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Store the use, at most once a minute. The polling of a page does not count as use."""
        store: Any = request.session
        user_or_none(request)  # loads the session, whatever the view does
        unused = store.idle_time
        if (
            unused is not None
            and unused > sessions.USE_WRITE_INTERVAL
            and sessions.is_caused_by_person(request)
        ):
            store.note_use(client_of(request))
        return self.get_response(request)


class PasswordChangeMiddleware(RestrictingMiddleware):
    """Middleware that allows a user with a password given by an admin only to change it."""

    OPEN = frozenset({"password-change", "logout", "set_language", "set_theme", "healthz"})
    PAGE = "password-change"
    CODE = "password_change_needed"

    def is_restricted(self, request: HttpRequest) -> bool:
        """Return whether the user must change the password."""
        user = user_or_none(request)
        return user is not None and user.must_change_password

    def explanation(self) -> str:
        """Return the text of the API's answer."""
        return _("Change your password in the browser first. Nothing was done.")


class DeviceMiddleware:
    """Middleware that gives a browser its device cookie after a login (accounts/logins.py)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Set the cookie if a login has requested it."""
        response = self.get_response(request)
        token = getattr(request, "new_device_token", "")
        if token:
            set_device_cookie(response, token)
        return response
