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
from requests import RequestException

from mekiki.accounts.clients import Client, client_of
from mekiki.accounts.http import user_or_none
from mekiki.accounts.messages import SIGN_ON_FAILURES
from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.audit.services import record

# At most this many failures per hour are recorded: for one user or, without a user, for one network.
# RECORDED_OF_STRANGERS limits the failures without a user from all networks. The limits are needed because
# anybody can request the callback without a login.
RECORDED_PER_HOUR = 60
RECORDED_OF_STRANGERS = 1000
KINDS = ("user.sign_on_failed", "user.sign_on_cancelled")


class SignOnRefused(OAuth2Error):
    """The error that a sign-on must end. `reason` is a short code for the event."""

    def __init__(self, reason: str, words: Any = None) -> None:
        self.reason = reason
        code = reason if reason in SIGN_ON_FAILURES else "untrusted"
        self.words = words if words is not None else SIGN_ON_FAILURES.render(code)
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
    if user_or_none(request) is None:
        return redirect("login")
    return redirect(next_url or "account") if process == "confirm" else redirect("account")


def _record(request: HttpRequest, reason: str, user: User | None) -> None:
    actor = user_or_none(request)
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
