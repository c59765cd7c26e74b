"""Responses to failed requests.

An unreachable database and a full disk have their own responses. Other failures get a general error response.
"""

import sys

import psycopg
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views import defaults

from mekiki.config import disk
from mekiki.web.middleware import no_room_answer, wants_json

UNAVAILABLE = 503
RETRY_AFTER_SECONDS = 3
# PostgreSQL error classes: the connection failed; the server stops, crashed or starts.
LOST = ("08", "57P")


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the response to an unhandled exception (Django's handler500).

    Known problems have their own response, wherever in the request they occurred.
    """
    error = sys.exc_info()[1]
    with translation.override(translation.get_language_from_request(request)):
        if error is not None and is_database_away(error):
            return _database_away(request)
        if error is not None and (reason := disk.no_room(error)):
            return no_room_answer(request, reason)
        if wants_json(request):
            detail = _("Something failed on our side. The error is in the server's log. Try once more.")
            return JsonResponse({"detail": detail, "code": "failed"}, status=500)
        return defaults.server_error(request)


def is_database_away(error: BaseException) -> bool:
    """Return whether an error means that the database does not answer, stops or starts."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    cause = error.__cause__
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    return state is None or state.startswith(LOST)


def _database_away(request: HttpRequest) -> HttpResponse:
    detail = _(
        "The database does not answer. Data saved before is kept; it is not known whether the last "
        "action was stored. The database is restarted automatically: try again in a moment."
    )
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse({"detail": detail, "code": "database_away"}, status=UNAVAILABLE)
    else:
        response = render(None, "503.html", {"detail": detail}, status=UNAVAILABLE)  # type: ignore[arg-type]
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
