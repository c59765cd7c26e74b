"""Reasons why a sign-on fails: a code for the event, and a message for the person."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.contrib import messages
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from requests import RequestException

from mekiki.accounts.clients import Client, client_of
from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.audit.services import record

# At most this many failures per hour are recorded: for one user or, without a user, for one network.
# RECORDED_OF_STRANGERS limits the failures without a user from all networks. The limits are needed because
# anybody can request the callback without a login.
RECORDED_PER_HOUR = 60
RECORDED_OF_STRANGERS = 1000
KINDS = ("user.sign_on_failed", "user.sign_on_cancelled")

_UNTRUSTED = _(
    "The answer of the provider could not be trusted. Nothing was done. Try again; if it happens again, ask "
    "an admin of the platform."
)
WORDS = {
    "cancelled": _("Single sign-on was cancelled. Nothing was done."),
    "state": _(
        "This sign-on was not begun in this browser, took longer than ten minutes, or was used before. "
        "Nothing was done. Begin again."
    ),
    "unreachable": _(
        "The provider of single sign-on did not answer. Nothing was done. Try again later, or log in with "
        "your password."
    ),
    "setup": _(
        "Single sign-on is not set up correctly on this site. Nothing was done. Log in with your password, "
        "and ask an admin of the platform."
    ),
    "provider": _(
        "The provider of single sign-on refused. Nothing was done. Try again, or log in with your password."
    ),
    "group": _(
        "The provider does not list you in a group that may use this site. Nothing was done. Ask an admin of "
        "the platform."
    ),
    "not_linked": _(
        "No user of this site belongs to this sign-on. No account was made. If you have a user here: log in "
        "with your password, then link single sign-on on the page of your account. If not: ask an admin of "
        "the platform."
    ),
    "logged_in": _("Another user is logged in here already. Nothing was done. Log out first."),
    "not_yours": _(
        "You signed on as a different user. Nothing was done. Log out first, or sign on "
        "as the user who is logged in here."
    ),
    "auth_time": _(
        "The provider did not ask for your identity again, so the confirmation is not valid. Nothing "
        "was done. Confirm in another way."
    ),
}


class SignOnRefused(OAuth2Error):
    """The error that a sign-on must end. `reason` is a short code for the event."""

    def __init__(self, reason: str, words: Any = None) -> None:
        self.reason = reason
        self.words = words if words is not None else WORDS.get(reason, _UNTRUSTED)
        super().__init__(reason)


@contextmanager
def refuse_unreadable() -> Iterator[None]:
    """Turn errors that occur while an answer of the provider is read into SignOnRefused."""
    try:
        yield
    except OAuth2Error:
        raise
    except RequestException:
        raise SignOnRefused("unreachable") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError):
        raise SignOnRefused("answer") from None


def end_sign_on(
    request: HttpRequest,
    refused: SignOnRefused,
    *,
    process: str,
    next_url: str = "",
    user: User | None = None,
) -> HttpResponse:
    """Record that a sign-on failed or was cancelled, and redirect with a message to its start page."""
    _record(request, refused.reason, user)
    level = messages.INFO if refused.reason == "cancelled" else messages.ERROR
    messages.add_message(request, level, str(refused.words))
    if not request.user.is_authenticated:
        return redirect("login")
    return redirect(next_url or "account") if process == "confirm" else redirect("account")


def _record(request: HttpRequest, reason: str, user: User | None) -> None:
    actor = request.user if isinstance(request.user, User) else None
    about = user or actor
    client = client_of(request)
    if _has_reached_limit(about, client):
        return
    kind = "user.sign_on_cancelled" if reason == "cancelled" else "user.sign_on_failed"
    data = {"name": about.username if about else "", "reason": reason, **client.for_event()}
    record(kind=kind, actor=actor, target=about, data=data)


def _has_reached_limit(user: User | None, client: Client) -> bool:
    """Return whether the limit of recorded failures for this hour is reached.

    The failures of `user` are counted. Without a user, the failures of the client's network are counted.
    """
    events = Event.objects.filter(at__gt=Now() - timedelta(hours=1), kind__in=KINDS)
    if user is not None:
        rows = events.filter(object_type="user", object_id=str(user.pk))
        return rows[:RECORDED_PER_HOUR].count() >= RECORDED_PER_HOUR
    addresses = list(
        events.filter(object_id="").values_list("data__address", flat=True)[:RECORDED_OF_STRANGERS]
    )
    here = sum(Client(address or "").network == client.network for address in addresses)
    return here >= RECORDED_PER_HOUR or len(addresses) >= RECORDED_OF_STRANGERS
