"""The steps of a login after the first step, which is a password, a passkey or a single sign-on."""

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

# The session key of the browser's time zone, which the login form sends.
ZONE_KEY = "browser_zone"


class LoginAdapter(DefaultAccountAdapter):
    """The login adapter of django-allauth. Nobody can sign up, and allauth shows no messages."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return False, because only admins create users."""
        return False

    def is_safe_url(self, url: str) -> bool:
        """Return whether a login may redirect to this address. Only the host of the request is allowed."""
        request = self.request
        return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address of the client."""
        return address_of(request)

    def get_login_stages(self) -> list[str]:
        """Return the steps after the first step."""
        return ["mekiki.accounts.second_factor.adapter.SecondStep"]

    def is_reauthentication_required(self, app: str) -> bool:
        """Return False, because the views of this site ask for a confirmation themselves."""
        return False

    def add_message(self, request: HttpRequest, level: int, *args: Any, **kwargs: Any) -> None:
        """Add no message, because the views of this site do."""

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Send nothing, because accounts/notices.py sends mails about changes of an account."""

    def respond_user_inactive(self, request: HttpRequest, user: User) -> HttpResponse:
        """Redirect a deactivated user to the login page, after a passkey or a single sign-on."""
        record(
            kind="user.login_refused",
            target=user,
            data={"name": user.get_username(), "reason": "deactivated", **client_of(request).for_event()},
        )
        messages.error(request, _("This user is deactivated. An admin of the platform can help."))
        return redirect("login")

    def login(self, request: HttpRequest, user: User) -> None:
        """Start the session of the user. The event of the login (accounts/logins.py) names its steps."""
        methods = login_methods_of(request, user)
        request.login_methods = methods  # type: ignore[attr-defined]
        super().login(request, user)
        # This site asked for a password, a passkey or a code, or the provider asked the user
        # (sign_on/adapter.py).
        is_confirmed = not set(methods) <= PROVIDER_METHODS or getattr(request, "provider_asked", False)
        request.session[SILENT_LOGIN_KEY] = not is_confirmed

    def post_login(
        self, request: HttpRequest, user: User, *, redirect_url: str | None, **hooks: Any
    ) -> HttpResponse:
        """Redirect after the last step of a login."""
        adopt_browser_time_zone(request, user)
        target = redirect_url if redirect_url and self.is_safe_url(redirect_url) else None
        return HttpResponseRedirect(target or self.get_login_redirect_url(request))


def login_methods_of(request: HttpRequest, user: User) -> list[str]:
    """Return the steps of the login of this session, as keys of METHOD_WORDS."""
    return _method_names(get_authentication_records(request, user))


def _method_names(records: list[dict[str, Any]]) -> list[str]:
    kinds = [r.get("type") if r.get("method") == "mfa" else r.get("method") for r in records]
    names = {**METHODS, "socialaccount": "sign_on"}
    return [names.get(str(name), str(name)) for name in kinds]


METHOD_WORDS = {
    "password": gettext_lazy("password"),
    "app": gettext_lazy("authenticator app"),
    "passkey": gettext_lazy("passkey"),
    "recovery_code": gettext_lazy("recovery code"),
    "sign_on": gettext_lazy("single sign-on"),
    "provider_factor": gettext_lazy("second factor at the provider"),
}


def login_steps_text(session: Session) -> str:
    """Return the steps of the login of a session in words, or "" if the session does not name them."""
    records = session.get_decoded().get(AUTHENTICATION_METHODS_SESSION_KEY) or []
    return ", ".join(dict.fromkeys(str(METHOD_WORDS[n]) for n in _method_names(records) if n in METHOD_WORDS))


# Steps of a login that this site did not ask for.
PROVIDER_METHODS = frozenset({"sign_on", "provider_factor"})


def adopt_browser_time_zone(request: HttpRequest, user: User) -> None:
    """Use the time zone of an admin's browser for the site if the site has none."""
    name = request.session.pop(ZONE_KEY, "")
    if name and site.take_zone_of_browser(name=name, user=user):
        messages.info(
            request,
            _("Times are shown in the zone of your browser, %(zone)s. Change it under Site settings.")
            % {"zone": name},
        )
