"""Reasons why a sign-on fails: a code for the event, and a message for the person."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.contrib import messages
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from requests import RequestException

from mekiki.accounts.clients import Client, client_of
from mekiki.accounts.http import user_or_none
from mekiki.accounts.messages import SIGN_ON_FAILURES
from mekiki.accounts.models import LoginTry, User
from mekiki.audit.models import Event
from mekiki.audit.services import record

# At most this many failures per hour are recorded: for one user or, without a user, for one network.
# RECORDED_OF_STRANGERS limits the failures without a user from all networks. The limits are needed because
# anybody can request the callback without a login.
RECORDED_PER_HOUR = 60
RECORDED_OF_STRANGERS = 1000
KINDS = ("user.sign_on_failed", "user.sign_on_cancelled")
HOUR = timedelta(hours=1)
# The name of the rows of LoginTry that count failures without a user. The rows are marked as known, because
# the rule of accounts/throttle.py for one address counts all rows that are not: failures of sign-ons slow no
# password down.
STRANGERS = "sign_on"


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
    with transaction.atomic():
        if about is None:
            LoginTry.objects.filter(name=STRANGERS, at__lt=Now() - HOUR).delete()
            LoginTry.objects.create(name=STRANGERS, address=client.network[:64], is_known=True)
        record(kind=kind, actor=actor, target=about, data=data)


def _has_reached_limit(user: User | None, client: Client) -> bool:
    """Return whether the limit of recorded failures for this hour is reached.

    The failures of `user` are counted. Without a user, the failures of the client's network are counted.
    """
    if user is not None:
        events = Event.objects.filter(at__gt=Now() - HOUR, kind__in=KINDS)
        rows = events.filter(object_type="user", object_id=str(user.pk))
        return rows[:RECORDED_PER_HOUR].count() >= RECORDED_PER_HOUR
    tries = LoginTry.objects.filter(name=STRANGERS, at__gt=Now() - HOUR)
    here = tries.filter(address=client.network[:64])
    return here.count() >= RECORDED_PER_HOUR or tries.count() >= RECORDED_OF_STRANGERS
