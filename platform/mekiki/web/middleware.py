"""Responses, for people and programs, to requests that failed because the disk has no room."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from mekiki.config import disk

INSUFFICIENT_STORAGE = 507
RETRY_AFTER_SECONDS = 15


class NoRoomMiddleware:
    """Middleware that answers 507 when a disk is full or read-only; nothing of the request was stored."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the response to an error that says the disk has no room; None for any other error."""
        reason = disk.disk_problem_of(error)
        return disk_full_response(request, reason) if reason else None


def wants_json(request: HttpRequest) -> bool:
    """Return whether the client is a program, which does not read HTML pages."""
    return request.path.startswith("/api/") or "application/json" in request.headers.get("Accept", "")


def disk_full_response(request: HttpRequest, reason: str) -> HttpResponse:
    """Return the response that names the problem of the disk.

    `reason` is disk.FULL or disk.READ_ONLY.
    """
    detail = disk_full_text(reason)
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse({"detail": detail, "code": reason}, status=INSUFFICIENT_STORAGE)
    else:
        response = render(
            None,  # type: ignore[arg-type]
            "507.html",
            {"detail": detail},
            status=INSUFFICIENT_STORAGE,
        )
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def disk_full_text(reason: str) -> str:
    """Return what happened, what was kept and what to do next."""
    if reason == disk.READ_ONLY:
        return _(
            "The folder of the files cannot be written. The last action was not carried out; data "
            "saved before is kept. Tell the person who runs this server."
        )
    return _(
        "The disk of the server is full. The last action was not carried out; data saved before is "
        "kept. Tell the person who runs this server, and try again when there is free space."
    )
