"""The language of whoever is logged in, and the time zone of the site."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import check_for_language
from django.utils.translation import gettext as _

from mekiki.accounts import sessions, site
from mekiki.accounts.clients import client_of, set_device_cookie


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


class SessionUseMiddleware:
    """Keeps a session alive that a person uses, and notes from where."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Note the use, once a minute at most; a page that polls by itself is no use."""
        store: Any = request.session
        request.user.is_authenticated  # noqa: B018  loads the session, whatever the view does
        unused = store.unused_for
        if unused is not None and unused > sessions.NOTED_EVERY and sessions.is_touched(request):
            store.note_use(client_of(request))
        return self.get_response(request)


class PasswordChangeMiddleware:
    """Lets a person whose password another person has given do nothing but change it, by pages and by the API."""

    OPEN = frozenset({"password-change", "logout", "set_language", "set_theme", "healthz"})

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """As the next one; the check needs the name of the address and comes with the view."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponse | None:
        """Lead to the page that changes the password; programs get 403 as JSON."""
        match = request.resolver_match
        if match is None or match.view_name in self.OPEN:
            return None
        user = request.user
        if not (user.is_authenticated and getattr(user, "must_change_password", False)):
            return None
        if match.namespace == "api":
            detail = _("Change your password in the browser first. Nothing was done.")
            return JsonResponse({"detail": detail, "code": "password_change_needed"}, status=403)
        page = reverse("password-change")
        if getattr(request, "htmx", False) or request.headers.get("HX-Request"):
            return HttpResponse(status=403, headers={"HX-Redirect": page})
        return redirect(page)


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
