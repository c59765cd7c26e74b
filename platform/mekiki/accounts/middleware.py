"""The language of whoever is logged in, and the time zone of the site."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.translation import check_for_language

from mekiki.accounts import site
from mekiki.accounts.clients import set_device_cookie


class LanguageMiddleware:
    """Stands after authentication. Before login, and for who has chosen none, Django's own choice holds."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Activate the user's language for this request; the next one begins with Django's choice again."""
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated and user.language and check_for_language(user.language):
            translation.activate(user.language)
            request.LANGUAGE_CODE = translation.get_language()  # type: ignore[attr-defined]
        return self.get_response(request)


class TimeZoneMiddleware:
    """Stands after authentication, which has loaded the zone with the user (accounts/backends.py)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Activate the site's zone for this request; pages before the login show no times."""
        user = getattr(request, "user", None)
        stored = getattr(user, "stored_time_zone", None) if user is not None else None
        timezone.activate(ZoneInfo(site.resolve(stored)))
        return self.get_response(request)


class DeviceMiddleware:
    """Gives a browser that has just logged in its device cookie (accounts/logins.py)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Set the cookie where a login asked for it."""
        response = self.get_response(request)
        token = getattr(request, "new_device_token", "")
        if token:
            set_device_cookie(response, token)
        return response
