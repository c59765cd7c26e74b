"""How a login goes on after its first step, whichever door it came through: password, passkey or single sign-on."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import (
    AUTHENTICATION_METHODS_SESSION_KEY,
    get_authentication_records,
)
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mekiki.accounts import site
from mekiki.accounts.clients import address_of, client_of
from mekiki.accounts.models import Session, User
from mekiki.accounts.second_factor.checking import METHODS
from mekiki.accounts.sessions import SILENT_LOGIN_KEY
from mekiki.audit.services import record

# The zone of the browser, told at the first step of a login.
ZONE_KEY = "browser_zone"


class LoginAdapter(DefaultAccountAdapter):
    """What django-allauth asks of us about logging in. Nobody signs up; the words are ours."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return False: admins make users."""
        return False

    def is_safe_url(self, url: str) -> bool:
        """Whether a login may lead to this address: on the host that was asked only."""
        request = self.request
        return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address a request comes from."""
        return address_of(request)

    def get_login_stages(self) -> list[str]:
        """Return the steps after the first."""
        return ["mekiki.accounts.second_factor.adapter.SecondStep"]

    def is_reauthentication_required(self, app: str) -> bool:
        """Return False: our own views ask again."""
        return False

    def add_message(self, request: HttpRequest, level: int, *args: Any, **kwargs: Any) -> None:
        """Say nothing: our own views do."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Send nothing: the audit log tells."""

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        """Lead back to the login page: a deactivated user came through a door that knows no passwords."""
        record(
            kind="user.login_refused",
            target=user,
            data={"name": user.get_username(), "reason": "deactivated", **client_of(request).for_event()},
        )
        messages.error(request, _("This user is deactivated. An admin of the platform can help."))
        return redirect("login")

    def login(self, request: HttpRequest, user: Any) -> None:
        """Begin the user's session. The event of it (accounts/logins.py) says which steps the login took."""
        methods = methods_of(request, user)
        request.login_methods = methods  # type: ignore[attr-defined]
        super().login(request, user)
        # The person has typed or touched something here, or the provider asked in this sign-on (sign_on/adapter.py).
        has_shown = not set(methods) <= PROVIDER_METHODS or getattr(request, "provider_asked", False)
        request.session[SILENT_LOGIN_KEY] = not has_shown

    def post_login(
        self, request: HttpRequest, user: Any, *, redirect_url: str | None, **hooks: Any
    ) -> HttpResponse:
        """Lead on after a login that has taken all its steps."""
        take_zone(request, user)
        target = redirect_url if redirect_url and self.is_safe_url(redirect_url) else None
        return HttpResponseRedirect(target or self.get_login_redirect_url(request))


def methods_of(request: HttpRequest, user: User) -> list[str]:
    """Return the steps this session's login took: those of METHOD_WORDS."""
    return _named(get_authentication_records(request, user))


def _named(records: list[dict[str, Any]]) -> list[str]:
    found = [r.get("type") if r.get("method") == "mfa" else r.get("method") for r in records]
    names = {**METHODS, "socialaccount": "sign_on"}
    return [names.get(str(name), str(name)) for name in found]


METHOD_WORDS = {
    "password": gettext_lazy("password"),
    "app": gettext_lazy("authenticator app"),
    "passkey": gettext_lazy("passkey"),
    "recovery_code": gettext_lazy("recovery code"),
    "sign_on": gettext_lazy("single sign-on"),
    "provider_factor": gettext_lazy("second factor at the provider"),
}


def words_of(session: Session) -> str:
    """Return how a session was logged in to, in words; "" where it does not say."""
    records = session.get_decoded().get(AUTHENTICATION_METHODS_SESSION_KEY) or []
    return ", ".join(dict.fromkeys(str(METHOD_WORDS[n]) for n in _named(records) if n in METHOD_WORDS))


# Steps of a login that this site did not ask for.
PROVIDER_METHODS = frozenset({"sign_on", "provider_factor"})


def take_zone(request: HttpRequest, user: User) -> None:
    """Take the zone of the first admin's browser where the site has none yet."""
    name = request.session.pop(ZONE_KEY, "")
    if name and site.take_zone_of_browser(name=name, user=user):
        messages.info(
            request,
            _("Times are shown in the zone of your browser, %(zone)s. Change it under Site settings.")
            % {"zone": name},
        )
