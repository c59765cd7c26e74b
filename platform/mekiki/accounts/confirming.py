"""Ask who is there before a sensitive act: the password (or a second factor) of the last minutes.

`confirm_first` stands on every view whose POST is such an act. What was typed is kept: it comes back with the password
and the act is done at once.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from mekiki.accounts import logins
from mekiki.accounts.access import person
from mekiki.accounts.clients import client_of
from mekiki.audit.services import record

RECENT = timedelta(minutes=15)
FIELD = "confirm_password"
# Other ways than the password, such as a second factor: each returns (words, address) or None for a request. The
# address leads back to the page; what was typed there is typed again.
OTHER_WAYS: list[Callable[[HttpRequest], tuple[str, str] | None]] = []

View = Callable[..., HttpResponse]


def is_recent(request: HttpRequest) -> bool:
    """Whether the person has logged in or confirmed within the last minutes."""
    request.session.get("_auth_user_id")  # loads the session
    before = getattr(request.session, "confirmed_before", None)
    # A session that this request began has no age yet.
    return before is None or before < RECENT


def confirm(request: HttpRequest) -> None:
    """Note that the person has just shown who they are, and record it."""
    user = person(request)
    store: Any = request.session
    store.row().update(confirmed_at=Now())
    store.confirmed_before = timedelta(0)
    record(kind="user.confirmed", actor=user, target=user, data=client_of(request).for_event())


def confirm_first(view: View) -> View:
    """Decorate a view: its POST asks for the password first, unless it was given within the last minutes."""

    @sensitive_post_parameters()
    @wraps(view)
    def asking(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        if not is_recent(request):
            problem = _check(request)
            if problem is not None:
                return _ask(request, problem)
        if FIELD in request.POST:
            rest = request.POST.copy()
            del rest[FIELD]
            request.POST = rest  # type: ignore[assignment]
        return view(request, *args, **kwargs)

    return asking


def _check(request: HttpRequest) -> str | None:
    """Check the password that came with the form; return what is wrong ("": none came), None when it is right."""
    if FIELD not in request.POST:
        return ""
    try:
        right = logins.verify_password(
            user=person(request), password=request.POST[FIELD], request=request, door="confirm"
        )
    except ValidationError as slowed:
        return " ".join(slowed.messages)
    if not right:
        return _("This is not your password. Nothing was done yet.")
    confirm(request)
    return None


def _ask(request: HttpRequest, problem: str) -> HttpResponse:
    kept = [
        (name, value)
        for name, values in request.POST.lists()
        if name not in {FIELD, "csrfmiddlewaretoken"}
        for value in values
    ]
    ways = [way for offer in OTHER_WAYS if (way := offer(request)) is not None]
    context = {"kept": kept, "problem": problem, "field": FIELD, "ways": ways}
    # htmx would put the page into a part of another one.
    response = render(request, "accounts/confirm.html", context, status=403)
    add_never_cache_headers(response)
    return response
