"""Views that begin a sign-on, receive the answer of the provider, and remove links."""

import secrets
import time

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from mekiki.accounts.access import get_user_for_admin
from mekiki.accounts.confirming import require_confirmation
from mekiki.accounts.http import user_of, user_or_none
from mekiki.accounts.sign_on import provider, services
from mekiki.accounts.sign_on.client import SignOnCallback, SignOnClient, SignOnProvider
from mekiki.accounts.sign_on.failures import SignOnRefused, end_sign_on, refuse_unreadable


@login_not_required
@never_cache
@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """Begin a sign-on that logs in."""
    if user_or_none(request) is not None:
        return redirect("home")
    return _lead_to_provider(request, "login")


@never_cache
@require_POST
@require_confirmation
def link(request: HttpRequest) -> HttpResponse:
    """Begin a sign-on that links an identity to the user's own account."""
    return _lead_to_provider(request, "link")


@never_cache
@require_POST
def confirm(request: HttpRequest) -> HttpResponse:
    """Begin a sign-on that confirms the user's identity. The provider must ask the user again."""
    return _lead_to_provider(request, "confirm")


@never_cache
@require_POST
@require_confirmation
def unlink(request: HttpRequest, account_id: int) -> HttpResponse:
    """Remove an identity from the user's own account."""
    try:
        services.unlink(user=user_of(request), account_id=account_id, request=request)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(
            request, _("Removed. It cannot be used to log in any more. Other sessions have ended.")
        )
    return redirect("account")


@require_POST
@require_confirmation
def unlink_all(request: HttpRequest, user_id: int) -> HttpResponse:
    """Remove all identities of a user, for an admin of the platform."""
    user = get_user_for_admin(user_of(request), user_id)
    try:
        removed = services.unlink_all(user=user, actor=user_of(request), request=request)
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        text = ngettext(
            "%(n)d link of single sign-on was removed, and %(name)s is logged out.",
            "%(n)d links of single sign-on were removed, and %(name)s is logged out.",
            removed,
        )
        if removed:
            messages.success(request, text % {"n": removed, "name": user.username})
        else:
            messages.info(
                request,
                _("%(name)s has no link of single sign-on. Nothing was changed.") % {"name": user.username},
            )
    return redirect("user", user_id)


@login_not_required
@never_cache
@require_safe
def callback(request: HttpRequest) -> HttpResponse:
    """Receive the answer of the provider."""
    _require_set_up()
    view = SignOnCallback()
    view.request, view.adapter = request, SignOnClient(request)
    try:
        return view.dispatch(request)
    except ImmediateHttpResponse as answer:
        return answer.response
    except SignOnRefused as refused:
        return get_adapter(request).refuse(request, refused, view.adapter.state)


def _require_set_up() -> None:
    if not provider.is_set_up():
        raise Http404


def _lead_to_provider(request: HttpRequest, process: str) -> HttpResponse:
    """Return a page that leads to the provider.

    A redirect is not possible here: after a form, browsers refuse a redirect to a host that the CSP does not
    list.
    """
    _require_set_up()
    target = _safe_target(request)
    parameters = {"nonce": secrets.token_urlsafe(32)}
    if process == "confirm":
        parameters.update(prompt="login", max_age="0")
    user = user_or_none(request)
    state = {"nonce": parameters["nonce"], "began": time.time(), "user": user.pk if user else None}
    try:
        with refuse_unreadable():
            answer = SignOnProvider(request).redirect(
                request, process, next_url=target, auth_params=parameters, **state
            )
    except SignOnRefused as refused:
        return end_sign_on(request, refused, process=process, next_url=target)
    except OAuth2Error:
        return end_sign_on(request, SignOnRefused("provider"), process=process, next_url=target)
    context = {"address": answer["Location"], "provider": provider.provider_name()}
    return render(request, "accounts/sign_on_lead.html", context)


def _safe_target(request: HttpRequest) -> str:
    """Return the path on this site in `next`, or "" for any other text."""
    target = request.POST.get("next", "")
    allowed = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if allowed and target.startswith("/") and len(target) <= 2000 else ""
