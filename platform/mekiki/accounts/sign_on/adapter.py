"""The adapter by which django-allauth logs in, links an identity or confirms the user's identity."""

import logging
import re
import time
from typing import Any

from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import statekit
from allauth.socialaccount.models import SocialLogin
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _
from requests import RequestException

from mekiki.accounts import confirming
from mekiki.accounts.http import user_of, user_or_none
from mekiki.accounts.models import User
from mekiki.accounts.sign_on import network, provider, services
from mekiki.accounts.sign_on.failures import SignOnRefused, end_sign_on
from mekiki.accounts.sign_on.tokens import LEEWAY, Identity

log = logging.getLogger(__name__)
# Texts in an answer of the provider that may be a token or a secret. Error codes, such as invalid_client, are
# shorter.
_SECRET = re.compile(r"(?=[\w+/=.~-]*\d)[\w+/=.~-]{16,}|[\w+/=.~-]{24,}")


class SignOnAdapter(DefaultSocialAccountAdapter):
    """An adapter that handles the answers of the provider by the purpose of the sign-on (`process`).

    The settings name this provider.
    """

    def get_provider(self, request: HttpRequest, provider: Any, client_id: Any = None) -> Any:
        """Return the provider in the settings."""
        from mekiki.accounts.sign_on.client import SignOnProvider

        return SignOnProvider(request)

    def get_requests_session(self) -> network.ProviderSession:
        """Return a session with the limits of network.py."""
        return network.provider_session()

    def generate_state_param(self, state: dict[str, Any]) -> str:
        """Return 256 random bits as text."""
        return get_random_string(43)

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Send nothing, because accounts/notices.py sends mails about changes of an account."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Return False, because `first_sign_on` creates accounts by the rules of this site."""
        return False

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Any = None,
        extra_context: Any = None,
    ) -> None:
        """End a sign-on that allauth cannot continue."""
        state = (extra_context or {}).get("state")
        raise ImmediateHttpResponse(self.refuse(request, _refusal(request, state, exception), state))

    def refuse(self, request: HttpRequest, refused: SignOnRefused, state: Any) -> HttpResponse:
        """Return the answer to a sign-on that failed.

        `state` is None if the callback named no known state.
        """
        # A provider that refuses may leave the state out. Then use the latest state of this session.
        if state is None:
            latest = statekit.get_oldest_state(statekit.get_states(request), rev=True)
            state = statekit.get_states(request)[latest][0] if latest else {}
        return end_sign_on(
            request, refused, process=str(state.get("process", "")), next_url=str(state.get("next") or "")
        )

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Log in, link or confirm.

        Only a login returns to allauth. A link and a confirmation end here with their response.
        """
        state, identity = sociallogin.state, sociallogin.identity
        # allauth may store the sign-on until a second step is done, so it must not contain tokens or secrets.
        sociallogin.token = None
        sociallogin.state = {key: state[key] for key in ("process", "next") if state.get(key)}
        known: User | None = sociallogin.user if sociallogin.is_existing else None
        try:
            if state.get("process") == "login":
                self._log_in(request, sociallogin, identity, state)
                return
            here = user_or_none(request)
            if here is None or here.pk != state.get("user"):
                raise SignOnRefused("state")
            finish = _link if state.get("process") == "link" else _confirm
            response = finish(request, identity, state, known)
        except SignOnRefused as refused:
            response = end_sign_on(
                request,
                refused,
                process=state["process"],
                next_url=state.get("next") or "",
                user=known if user_or_none(request) is None else None,
            )
        raise ImmediateHttpResponse(response)

    def _log_in(
        self, request: HttpRequest, sociallogin: SocialLogin, identity: Identity, state: dict[str, Any]
    ) -> None:
        here = user_or_none(request)
        if here is not None:  # another user may have logged in after the sign-on began
            if sociallogin.user != here:
                raise SignOnRefused("logged_in")
            raise ImmediateHttpResponse(redirect(state.get("next") or "home"))
        # A new account has nothing to protect, and its user may set up a second factor at once.
        asked = not sociallogin.is_existing or _asked_person(identity, state)
        request.provider_asked = asked  # type: ignore[attr-defined]
        if not sociallogin.is_existing:
            account = services.first_sign_on(identity=identity, request=request)
            sociallogin.account, sociallogin.user = account, account.user
        user = sociallogin.user
        if not user.is_active:
            raise ImmediateHttpResponse(get_account_adapter().respond_user_inactive(request, user))
        if identity.second_factor:
            sociallogin.state["second_factor"] = True  # read by the second step (second_factor/adapter.py)


def _link(
    request: HttpRequest, identity: Identity, state: dict[str, Any], known: User | None
) -> HttpResponse:
    services.link(user=user_of(request), identity=identity, request=request)
    messages.success(
        request, _("Linked. You can log in with %(provider)s now.") % {"provider": provider.provider_name()}
    )
    return redirect("account")


def _confirm(
    request: HttpRequest, identity: Identity, state: dict[str, Any], known: User | None
) -> HttpResponse:
    if known is None or known.pk != user_of(request).pk:
        raise SignOnRefused("not_yours")
    if not _asked_person(identity, state):
        raise SignOnRefused("auth_time")
    confirming.record_confirmation(request, method="sign_on")
    messages.success(request, _("Confirmed. Now repeat the action. You are not asked again for 15 minutes."))
    return redirect(state.get("next") or "account")


def _asked_person(identity: Identity, state: dict[str, Any]) -> bool:
    """Return whether the provider asked for a proof of identity after this sign-on began."""
    if identity.auth_time is None:
        return False
    return float(state["began"]) - LEEWAY <= identity.auth_time <= time.time() + LEEWAY


def _refusal(request: HttpRequest, state: Any, exception: Any) -> SignOnRefused:
    """Return the reason why allauth could not continue."""
    if isinstance(exception, SignOnRefused):
        return exception
    if isinstance(exception, RequestException):
        return SignOnRefused("unreachable")
    if exception is not None:
        log.warning("The token endpoint of the provider refused: %.300s", _SECRET.sub("…", str(exception)))
        return SignOnRefused("provider")
    error = request.GET.get("error", "")
    if error == "access_denied":  # some providers leave the state out in this case
        return SignOnRefused("cancelled")
    return SignOnRefused("state" if state is None else "provider")
