"""Rules that slow down the guessing of codes.

Tries are counted by account, because a person who tries codes already has the password.
"""

from datetime import timedelta

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import ngettext

from mekiki.accounts.clients import client_of
from mekiki.accounts.models import LoginTry, User
from mekiki.audit.services import record

FREE = 5  # wrong codes of one account without a wait
# Refused passkeys from one address without a wait. A whole shop floor may share an address.
FREE_ADDRESS = 50
FIRST_WAIT, LONGEST_WAIT = 10, 20 * 60  # seconds; each further failure doubles the wait
WINDOW = timedelta(hours=24)


def _subject(user: User | None) -> str:
    return f"factor:{user.pk}" if user is not None else "passkey"


@transaction.atomic
def register_try(*, user: User | None, request: HttpRequest) -> int:
    """Store a try before it is checked. Return the seconds to wait, 0 to continue.

    `user` is None for a login with a passkey alone.
    """
    address = client_of(request).network
    with connection.cursor() as cursor:
        lock = f"factor {user.pk if user else address}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
    tries = LoginTry.objects.filter(name=_subject(user), at__gt=Now() - WINDOW, at__lte=Now())
    free = FREE
    if user is None:
        tries, free = tries.filter(address=address), FREE_ADDRESS
    count = tries.count()
    if count >= free:
        age = tries.order_by("-at").annotate(age=Now() - F("at")).values_list("age", flat=True)[0]
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(count - free, 20)) - age.total_seconds()
        if wait > 0:
            return max(1, round(wait))
    LoginTry.objects.create(name=_subject(user), address=address, at=Now())
    return 0


def clear_failures(*, user: User | None, request: HttpRequest | None = None) -> None:
    """Delete the tries of this account, because the right code was given."""
    tries = LoginTry.objects.filter(name=_subject(user))
    if user is None and request is not None:
        tries = tries.filter(address=client_of(request).network)
    tries.delete()


def record_failure(*, user: User | None, request: HttpRequest) -> None:
    """Record the event of a wrong code or a refused passkey."""
    data = {"name": user.username if user else "", **client_of(request).for_event()}
    record(kind="user.second_step_failed", target=user, data=data)


def wait_text(seconds: int) -> str:
    """Return the message for a user who has to wait."""
    minutes = -(-seconds // 60)
    return ngettext(
        "Too many wrong codes. Wait %(n)d minute, then try again.",
        "Too many wrong codes. Wait %(n)d minutes, then try again.",
        minutes,
    ) % {"n": minutes}
