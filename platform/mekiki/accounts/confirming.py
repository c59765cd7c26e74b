"""Ask who is there before a sensitive act: the password or a second factor of the last minutes, or signing on again.

`confirm_first` stands on every view whose POST is such an act. What was typed is kept: it comes back with the password
or the second factor, and the act is done at once. Who signs on again comes back to the page and types it again.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from allauth.mfa.webauthn.internal import auth as webauthn
from django.core.exceptions import ValidationError
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from mekiki.accounts import logins
from mekiki.accounts.access import person
from mekiki.accounts.clients import client_of
from mekiki.accounts.models import User
from mekiki.accounts.second_factor import checking, selectors
from mekiki.accounts.sessions import SILENT_LOGIN_KEY
from mekiki.accounts.sign_on import provider
from mekiki.accounts.sign_on.selectors import can_sign_on
from mekiki.audit.services import record

RECENT = timedelta(minutes=15)
FIELD, CODE, CREDENTIAL = "confirm_password", "confirm_code", "confirm_credential"
ANSWERS = {FIELD, CODE, CREDENTIAL}
# The challenge for a passkey that confirms. The page may hold one of its own: that of a passkey being added.
CHALLENGE_KEY = "confirm_passkey"

View = Callable[..., HttpResponse]


def is_recent(request: HttpRequest) -> bool:
    """Whether the person has shown who they are within the last minutes: by confirming, or at the login.

    A single sign-on for which the provider asked nothing shows only that its session goes on in this browser.
    """
    store: Any = request.session
    is_silent = store.get(SILENT_LOGIN_KEY, False)  # loads the session
    if store.confirmed_before is not None and store.confirmed_before < RECENT:
        return True
    # A session that this request began has no age yet.
    return not is_silent and (store.age is None or store.age < RECENT)


def confirm(request: HttpRequest, *, method: str) -> None:
    """Note that the person has just shown who they are, and record it. method: as a login's steps are named."""
    user = person(request)
    store: Any = request.session
    store.row().update(confirmed_at=Now())
    store.confirmed_before = timedelta(0)
    data = {**client_of(request).for_event(), "method": method}
    record(kind="user.confirmed", actor=user, target=user, data=data)


def confirm_first(view: View) -> View:
    """Decorate a view: its POST asks who is there first, unless it was shown within the last minutes."""

    @sensitive_post_parameters()
    @wraps(view)
    def asking(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        if not is_recent(request):
            problem = _check(request)
            if problem is not None:
                return _ask(request, problem)
        if ANSWERS & request.POST.keys():
            rest = request.POST.copy()
            for name in ANSWERS:
                rest.pop(name, None)
            request.POST = rest  # type: ignore[assignment]
        return view(request, *args, **kwargs)

    return asking


def _check(request: HttpRequest) -> str | None:
    """Check what came with the form; return what is wrong ("": nothing came), None when it is right."""
    user = person(request)
    if request.POST.get(CREDENTIAL) or request.POST.get(CODE):
        return _check_factor(request, user)
    if FIELD not in request.POST:
        return ""
    try:
        right = logins.verify_password(
            user=user, password=request.POST[FIELD], request=request, door="confirm"
        )
    except ValidationError as slowed:
        return " ".join(slowed.messages)
    if not right:
        return _("This is not your password. Nothing was done yet.")
    confirm(request, method="password")
    return None


def _check_factor(request: HttpRequest, user: User) -> str | None:
    if request.POST.get(CREDENTIAL):
        posted = {"credential": request.POST[CREDENTIAL]}
    else:
        posted = {"code": request.POST[CODE]}
    before = request.session.get(webauthn.STATE_SESSION_KEY)
    request.session[webauthn.STATE_SESSION_KEY] = request.session.pop(CHALLENGE_KEY, None)
    used, problem = checking.answered(request, user, posted)
    request.session[webauthn.STATE_SESSION_KEY] = before
    if used is None:
        return problem
    confirm(request, method=checking.METHODS[used.type])
    return None


def _ask(request: HttpRequest, problem: str) -> HttpResponse:
    user = person(request)
    factors = selectors.factors_of(user)
    context = {
        "kept": [
            (name, value)
            for name, values in request.POST.lists()
            if name not in {*ANSWERS, "csrfmiddlewaretoken"}
            for value in values
        ],
        "problem": problem,
        "field": FIELD,
        "has_password": user.has_usable_password(),
        "factors": factors,
        "options": _challenge(request, user) if factors.passkeys else "",
        "sign_on": provider.name() if can_sign_on(user) else "",
        "back": _page_before(request),
    }
    # htmx would put the page into a part of another one.
    response = render(request, "accounts/confirm.html", context, status=403)
    add_never_cache_headers(response)
    return response


def _challenge(request: HttpRequest, user: User) -> str:
    """Return the options for a passkey, as JSON, and keep their challenge."""
    before = request.session.get(webauthn.STATE_SESSION_KEY)
    options = json.dumps(webauthn.begin_authentication(user))
    request.session[CHALLENGE_KEY] = request.session[webauthn.STATE_SESSION_KEY]
    request.session[webauthn.STATE_SESSION_KEY] = before
    return options


def _page_before(request: HttpRequest) -> str:
    """Return the address on this site from which the form was sent; "" where the browser does not say."""
    sent_from = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(sent_from, {request.get_host()}, request.is_secure()):
        return ""
    parts = urlsplit(sent_from)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
