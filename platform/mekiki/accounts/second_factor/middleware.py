"""Middleware for admins without a second factor, on a site that requires one."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from mekiki.accounts.http import user_or_none
from mekiki.accounts.second_factor import selectors


class SecondFactorMiddleware:
    """Middleware that allows an admin who lacks a required second factor only to set one up.

    The rule covers pages and the API.
    """

    OPEN = frozenset(
        {
            "second-factor", "second-factor-app", "passkey-add", "recovery-codes", "password-change",
            "logout", "set_language", "set_theme", "healthz", "sign-on-confirm", "sign-on-callback",
        }
    )  # fmt: skip

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Call the next middleware. The check is in process_view, where the name of the address is known."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponse | None:
        """Redirect to the page of second factors. The API gets status 403 as JSON."""
        match = request.resolver_match
        if match is None or match.view_name in self.OPEN:
            return None
        # Loaded with the user (accounts/backends.py).
        user = user_or_none(request)
        if user is None or not getattr(user, "lacks_second_factor", False):
            return None
        if selectors.shown_to_provider(request, user):
            return None
        if match.namespace == "api":
            detail = _(
                "Admins need a second factor on this site. Set one up in the browser. Nothing was done."
            )
            return JsonResponse({"detail": detail, "code": "second_factor_needed"}, status=403)
        page = reverse("second-factor")
        if request.headers.get("HX-Request"):
            return HttpResponse(status=403, headers={"HX-Redirect": page})
        return redirect(page)
