"""Confirmation of a sensitive act by the password, by a second factor or by a new single sign-on.

`require_confirmation` decorates every view that performs a sensitive act on POST. With a password or a second
factor, the fields of the form are kept and the act is done at once. After a single sign-on, the user fills in
the form again.
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
from mekiki.accounts.clients import client_of
from mekiki.accounts.http import user_of
from mekiki.accounts.models import User
from mekiki.accounts.second_factor import checking, selectors
from mekiki.accounts.sessions import SILENT_LOGIN_KEY
from mekiki.accounts.sign_on import provider
from mekiki.accounts.sign_on.selectors import can_sign_on
from mekiki.audit.services import record

RECENT = timedelta(minutes=15)
PASSWORD_FIELD, CODE_FIELD, CREDENTIAL_FIELD = "confirm_password", "confirm_code", "confirm_credential"
CONFIRMATION_FIELDS = {PASSWORD_FIELD, CODE_FIELD, CREDENTIAL_FIELD}
# The session key of the challenge for a confirmation. A page that adds a passkey has another challenge too.
CHALLENGE_KEY = "confirm_passkey"

View = Callable[..., HttpResponse]


def is_confirmed_recently(request: HttpRequest) -> bool:
    """Return whether the user has proved their identity within the last minutes.

    A confirmation or a login counts as proof. A single sign-on in which the provider did not ask the user
    does not count. It proves only that the provider's session in this browser continues.
    """
    store: Any = request.session
    is_silent = store.get(SILENT_LOGIN_KEY, False)  # loads the session
    if store.time_since_confirmation is not None and store.time_since_confirmation < RECENT:
        return True
    # A session that was created in this request has no age yet.
    return not is_silent and (store.age is None or store.age < RECENT)


def record_confirmation(request: HttpRequest, *, method: str) -> None:
    """Store and record that the user has just confirmed their identity.

    `method` is a key of login_flow.METHOD_WORDS.
    """
    user = user_of(request)
    store: Any = request.session
    store.row().update(confirmed_at=Now())
    store.time_since_confirmation = timedelta(0)
    data = {**client_of(request).for_event(), "method": method}
    record(kind="user.confirmed", actor=user, target=user, data=data)


def require_confirmation(view: View) -> View:
    """Decorate a view so that a POST needs a confirmation, unless there was one within the last minutes."""

    @sensitive_post_parameters()
    @wraps(view)
    def asking(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        if not is_confirmed_recently(request):
            problem = _check(request)
            if problem is not None:
                return _ask(request, problem)
        if CONFIRMATION_FIELDS & request.POST.keys():
            rest = request.POST.copy()
            for name in CONFIRMATION_FIELDS:
                rest.pop(name, None)
            request.POST = rest  # type: ignore[assignment]
        return view(request, *args, **kwargs)

    return asking


def _check(request: HttpRequest) -> str | None:
    """Check the confirmation in the form.

    Return None if it is right, a message if it is wrong, and "" if there is none.
    """
    user = user_of(request)
    if request.POST.get(CREDENTIAL_FIELD) or request.POST.get(CODE_FIELD):
        return _check_factor(request, user)
    if PASSWORD_FIELD not in request.POST:
        return ""
    try:
        right = logins.verify_password(
            user=user, password=request.POST[PASSWORD_FIELD], request=request, door="confirm"
        )
    except ValidationError as slowed:
        return " ".join(slowed.messages)
    if not right:
        return _("This is not your password. Nothing was done yet.")
    record_confirmation(request, method="password")
    return None


def _check_factor(request: HttpRequest, user: User) -> str | None:
    if request.POST.get(CREDENTIAL_FIELD):
        posted = {"credential": request.POST[CREDENTIAL_FIELD]}
    else:
        posted = {"code": request.POST[CODE_FIELD]}
    before = request.session.get(webauthn.STATE_SESSION_KEY)
    request.session[webauthn.STATE_SESSION_KEY] = request.session.pop(CHALLENGE_KEY, None)
    used, problem = checking.check_answer(request, user, posted)
    request.session[webauthn.STATE_SESSION_KEY] = before
    if used is None:
        return problem
    record_confirmation(request, method=checking.METHODS[used.type])
    return None


def _ask(request: HttpRequest, problem: str) -> HttpResponse:
    user = user_of(request)
    factors = selectors.factors_of(user)
    context = {
        "kept": [
            (name, value)
            for name, values in request.POST.lists()
            if name not in {*CONFIRMATION_FIELDS, "csrfmiddlewaretoken"}
            for value in values
        ],
        "problem": problem,
        "field": PASSWORD_FIELD,
        "has_password": user.has_usable_password(),
        "factors": factors,
        "options": _challenge(request, user) if factors.passkeys else "",
        "sign_on": provider.provider_name() if can_sign_on(user) else "",
        "back": _page_before(request),
    }
    # With status 403, htmx does not insert this page into a part of another page.
    response = render(request, "accounts/confirm.html", context, status=403)
    add_never_cache_headers(response)
    return response


def _challenge(request: HttpRequest, user: User) -> str:
    """Return the options for a passkey as JSON, and store their challenge in the session."""
    before = request.session.get(webauthn.STATE_SESSION_KEY)
    options = json.dumps(webauthn.begin_authentication(user))
    request.session[CHALLENGE_KEY] = request.session[webauthn.STATE_SESSION_KEY]
    request.session[webauthn.STATE_SESSION_KEY] = before
    return options


def _page_before(request: HttpRequest) -> str:
    """Return the path of the page that sent the form, or "" if the browser names no page of this site."""
    referrer = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(referrer, {request.get_host()}, request.is_secure()):
        return ""
    parts = urlsplit(referrer)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
