"""Middleware for admins without a second factor, on a site that requires one."""

from django.http import HttpRequest
from django.utils.translation import gettext as _

from mekiki.accounts.http import user_or_none
from mekiki.accounts.restricting import RestrictingMiddleware
from mekiki.accounts.second_factor import selectors


class SecondFactorMiddleware(RestrictingMiddleware):
    """Middleware that allows an admin who lacks a required second factor only to set one up."""

    OPEN = frozenset(
        {
            "second-factor", "second-factor-app", "passkey-add", "recovery-codes", "password-change",
            "logout", "set_language", "set_theme", "healthz", "sign-on-confirm", "sign-on-callback",
        }
    )  # fmt: skip
    PAGE = "second-factor"
    CODE = "second_factor_needed"

    def is_restricted(self, request: HttpRequest) -> bool:
        """Return whether the user lacks a required second factor, and the provider checked none."""
        # Loaded with the user (accounts/backends.py).
        user = user_or_none(request)
        if user is None or not getattr(user, "lacks_second_factor", False):
            return False
        return not selectors.provider_checked_second_factor(request, user)

    def explanation(self) -> str:
        """Return the text of the API's answer."""
        return _("Admins need a second factor on this site. Set one up in the browser. Nothing was done.")
