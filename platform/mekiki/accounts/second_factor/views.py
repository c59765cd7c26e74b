"""Views for the second step of a login, the login with a passkey, and the user's own second factors."""

import base64
import json
from typing import Any

from allauth.account.internal.decorators import login_stage_required
from allauth.account.internal.flows.login import perform_login
from allauth.account.internal.stagekit import clear_login
from allauth.account.models import Login
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.mfa.webauthn.internal import auth as webauthn
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from mekiki.accounts.access import get_user_for_admin, require_platform_admin
from mekiki.accounts.confirming import require_confirmation
from mekiki.accounts.http import user_of, user_or_none
from mekiki.accounts.models import User
from mekiki.accounts.second_factor import checking, guesses, hosts, sealing, selectors, services
from mekiki.accounts.second_factor.adapter import SecondStep
from mekiki.accounts.second_factor.forms import AppForm, AssertionForm, CodeForm, PasskeyForm, PasskeyNameForm

# The session key of the encrypted secret of an app that is being set up.
DRAFT_KEY = "second_factor_draft"


@sensitive_post_parameters()
@login_stage_required(stage=SecondStep.key, redirect_urlname="login")
@require_http_methods(["GET", "HEAD", "POST"])
def second_step(request: HttpRequest) -> HttpResponse:
    """Ask for a code or a passkey in the second step of a login."""
    stage = request._login_stage  # type: ignore[attr-defined]
    user: User = stage.login.user
    if not stage.is_current():
        clear_login(request)
        messages.error(request, _("This login is no longer valid. Log in again."))
        return redirect("login")
    posted = request.POST if request.method == "POST" else None
    problem = ""
    if posted is not None:
        used, problem = checking.check_answer(request, user, posted)
        if used is not None:
            post_authentication(request, used)
            return stage.exit()
    factors = selectors.factors_of(user)
    options = json.dumps(webauthn.begin_authentication(user)) if factors.passkeys else ""
    context = {
        "form": CodeForm(),
        "factors": factors,
        "options": options,
        "problem": problem,
        "name": user.username,
    }
    return render(request, "accounts/second_step.html", context, status=422 if problem else 200)


@login_not_required
@never_cache
@require_POST
def passkey_login(request: HttpRequest) -> HttpResponse:
    """Log in with a passkey alone, without a password.

    A POST with `challenge` returns the challenge for the browser's dialogue. A POST with the answer of the
    dialogue logs in. A challenge is stored in a session. So a GET creates none: it would create a row for
    every visitor of the page.
    """
    if user_or_none(request) is not None:
        return redirect("home")
    if "challenge" in request.POST:
        return JsonResponse(webauthn.begin_authentication(None))
    form = AssertionForm(request.POST, user=None)
    wait = guesses.register_try(user=None, request=request)
    if not wait and form.is_valid():
        passkey = form.cleaned_data["credential"]
        guesses.clear_failures(user=None, request=request)
        post_authentication(request, passkey, passwordless=True)
        return perform_login(request, Login(user=passkey.user, redirect_url=request.POST.get("next") or None))
    if not wait:
        guesses.record_failure(user=None, request=request)
    message = guesses.wait_text(wait) if wait else checking.passkey_error_text(form)
    messages.error(request, message)
    return redirect("login")


@never_cache
@require_http_methods(["GET", "HEAD"])
def index(request: HttpRequest) -> HttpResponse:
    """Show the user's own second factors."""
    user = user_of(request)
    return render(request, "accounts/second_factor.html", _index_context(request, user))


def _index_context(request: HttpRequest, user: User) -> dict[str, Any]:
    required = selectors.is_required_for_admins() and selectors.is_any_admin(user)
    return {
        "factors": selectors.factors_of(user),
        "required": required,
        "passkeys_work": hosts.passkeys_work(request),
    }


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@require_confirmation
def app_add(request: HttpRequest) -> HttpResponse:
    """Set up an authenticator app: show the secret as a picture and as text, then check the first code."""
    user = user_of(request)
    if selectors.factors_of(user).app is not None:
        return redirect("second-factor")
    secret = _draft(request, new=request.method != "POST")
    form = AppForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            codes = services.add_app(user=user, secret=secret, code=form.cleaned_data["code"])
        except ValidationError as error:
            form.add_error("code", error)
        else:
            request.session.pop(DRAFT_KEY, None)
            return _added(request, codes, _("Your next login asks for a code of the app."))
    adapter = get_adapter()
    address = adapter.build_totp_url(user, secret)
    picture = base64.b64encode(adapter.build_totp_svg(address).encode()).decode()
    groups = [secret[i : i + 4] for i in range(0, len(secret), 4)]
    context = {
        "form": form,
        "picture": f"data:image/svg+xml;base64,{picture}",
        "groups": groups,
        "address": address,
    }
    return render(request, "accounts/app_add.html", context, status=422 if form.errors else 200)


def _draft(request: HttpRequest, *, new: bool) -> str:
    """Return the secret of the app that is being set up. With `new`, generate a new secret.

    A GET starts with a new secret. A POST with an error keeps the secret.
    """
    if not new and DRAFT_KEY in request.session:
        try:
            return sealing.decrypt(request.session[DRAFT_KEY])
        except sealing.Unreadable:
            pass
    secret = generate_totp_secret()
    request.session[DRAFT_KEY] = sealing.encrypt(secret)
    return secret


def _added(request: HttpRequest, codes: list[str], message: str) -> HttpResponse:
    """Redirect to the second factors, or show the recovery codes that were created with the first factor."""
    messages.success(request, message)
    return _codes_page(request, codes) if codes else redirect("second-factor")


def _codes_page(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """Show recovery codes. Like a generated password, they are only in the response to this request."""
    grouped = [f"{code[:5]}-{code[5:]}" for code in codes]
    return render(request, "accounts/recovery_codes.html", {"codes": grouped, "host": request.get_host()})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@require_confirmation
def passkey_add(request: HttpRequest) -> HttpResponse:
    """Add a passkey."""
    user = user_of(request)
    form = PasskeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        name = given["name"] or get_adapter().generate_authenticator_name(user, Authenticator.Type.WEBAUTHN)
        try:
            codes = services.add_passkey(
                user=user, name=name, credential=given["credential"], alone=given["alone"]
            )
        except ValidationError as error:
            form.add_error(None, error)
        else:
            return _added(request, codes, _("The passkey is saved."))
    context = {
        "form": form,
        "options": json.dumps(webauthn.begin_registration(user, False)),
        "passkeys_work": hosts.passkeys_work(request),
        "localhost": hosts.localhost_address(request),
    }
    return render(request, "accounts/passkey_add.html", context, status=422 if form.errors else 200)


@require_POST
@require_confirmation
def factor_remove(request: HttpRequest, factor_id: int) -> HttpResponse:
    """Remove the user's own app or passkey."""
    user = user_of(request)
    try:
        services.remove(user=user, factor=_own(user, factor_id, *selectors.FACTORS))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("Removed. It cannot be used to log in any more."))
    return redirect("second-factor")


@require_POST
def passkey_rename(request: HttpRequest, factor_id: int) -> HttpResponse:
    """Give the user's own passkey another name."""
    user = user_of(request)
    passkey = _own(user, factor_id, Authenticator.Type.WEBAUTHN)
    form = PasskeyNameForm(request.POST)
    if form.is_valid():
        services.rename_passkey(user=user, passkey=passkey, name=form.cleaned_data["name"])
        messages.success(request, _("The passkey has a new name."))
    else:
        messages.error(request, _("The name is empty or too long. Nothing was changed."))
    return redirect("second-factor")


@never_cache
@require_POST
@require_confirmation
def codes_make(request: HttpRequest) -> HttpResponse:
    """Create new recovery codes and show them once."""
    try:
        codes = services.make_recovery_codes(user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("second-factor")
    return _codes_page(request, codes)


def _own(user: User, factor_id: int, *kinds: str) -> Authenticator:
    factor = Authenticator.objects.filter(pk=factor_id, user_id=user.pk, type__in=kinds).first()
    if factor is None:
        raise Http404
    return factor


@require_POST
@require_confirmation
def reset(request: HttpRequest, user_id: int) -> HttpResponse:
    """Remove all second factors of a user who has lost them."""
    user = get_user_for_admin(user_of(request), user_id)
    try:
        removed = services.reset(user=user, actor=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        if removed:
            message = _("The second factors of %(name)s were removed. Logins no longer need a second step.")
            messages.success(request, message % {"name": user.username})
        else:
            messages.info(
                request, _("%(name)s has no second factor. Nothing was changed.") % {"name": user.username}
            )
    return redirect("user", user_id)


@require_POST
@require_confirmation
def set_required(request: HttpRequest) -> HttpResponse:
    """Require a second factor of admins, or stop requiring it."""
    required = request.POST.get("required") == "1"
    require_platform_admin(user_of(request))
    try:
        services.set_required(required=required, user=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        message = (
            _(
                "Admins need a second factor from now on. An admin without a second factor can only "
                "open the page to set it up."
            )
            if required
            else _("Admins need no second factor any more.")
        )
        messages.success(request, message)
    return redirect("site-settings")
