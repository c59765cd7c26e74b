"""The base of middleware that allows some users only to complete their account first."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse


class RestrictingMiddleware(ABC):
    """Middleware that allows the users of `is_restricted` only the pages in OPEN.

    The rule covers pages and the API. Subclasses set OPEN (names of addresses), PAGE (the name of the page
    where the user completes the account) and CODE (of the API's answer).
    """

    OPEN: frozenset[str] = frozenset()
    PAGE = ""
    CODE = ""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Call the next middleware. The check is in process_view, where the name of the address is known."""
        return self.get_response(request)

    @abstractmethod
    def is_restricted(self, request: HttpRequest) -> bool:
        """Return whether the user of the request is restricted."""

    @abstractmethod
    def explanation(self) -> str:
        """Return the text of the API's answer."""

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponse | None:
        """Redirect to PAGE if the user is restricted. The API gets status 403 as JSON."""
        match = request.resolver_match
        if match is None or match.view_name in self.OPEN or not self.is_restricted(request):
            return None
        if match.namespace == "api":
            return JsonResponse({"detail": self.explanation(), "code": self.CODE}, status=403)
        page = reverse(self.PAGE)
        if request.headers.get("HX-Request"):
            return HttpResponse(status=403, headers={"HX-Redirect": page})
        return redirect(page)
