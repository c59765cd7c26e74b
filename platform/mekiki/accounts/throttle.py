"""Rules that slow down password guessing without locking anybody out (docs/decisions/0031).

Tries are rows in the database with the database's clock, because several web processes share them. A try is
stored before its password is checked, and tries are stored one after the other, so simultaneous tries count
too. A refused try is not stored: asking again does not prolong the wait. No thread of the site waits.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac
from django.utils.translation import ngettext

from mekiki.accounts.clients import Client
from mekiki.accounts.models import KnownPlace, LoginTry, User
from mekiki.accounts.names import name_key
from mekiki.accounts.passwords import normalize
from mekiki.accounts.selectors import user_named
from mekiki.audit.services import record

WINDOW = timedelta(hours=24)
KNOWN_FOR = timedelta(days=90)
FIRST_WAIT, LONGEST_WAIT = 10, 20 * 60  # seconds; each failure doubles the wait

# Numbers of failures without a wait. Every further failure makes the next wait longer.
FREE_KNOWN = 10  # for an account, from one known device or one known address
FREE_NEW = 5  # for an account, from one new address
FREE_ACCOUNT = 20  # for an account, from all new addresses together
FREE_ADDRESS = 30  # from one address, for all accounts it has not logged in to
FREE_SPRAY = 5  # other accounts that the same wrong password was tried for


class LoginSlowed(ValidationError):
    """The error that a try must wait for `seconds`. The password was not checked."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(_words(seconds), code="slowed")


def _words(seconds: int) -> str:
    if seconds < 60:
        text = ngettext(
            "Too many wrong passwords. Wait %(n)d second, then try again.",
            "Too many wrong passwords. Wait %(n)d seconds, then try again.",
            seconds,
        )
        return text % {"n": seconds}
    minutes = -(-seconds // 60)
    text = ngettext(
        "Too many wrong passwords. Wait %(n)d minute, then try again.",
        "Too many wrong passwords. Wait %(n)d minutes, then try again.",
        minutes,
    )
    return text % {"n": minutes}


@dataclass(frozen=True)
class Attempt:
    """A stored try: its row, the user of the account (if any) and the client."""

    row: LoginTry
    user: User | None
    client: Client


def _subject(user: User | None, name: str) -> str:
    return f"user:{user.pk}" if user is not None else f"name:{_digest('name', name_key(name))[:32]}"


def _digest(salt: str, text: str) -> str:
    value = text.encode(errors="replace")
    return salted_hmac(f"mekiki.login.{salt}", value, algorithm="sha256").hexdigest()


def begin(*, name: str, password: str, client: Client) -> Attempt:
    """Store a try for the account of `name`. Raises LoginSlowed if it must wait."""
    waited = _begin(name=name, password=password, client=client)
    if isinstance(waited, int):
        raise LoginSlowed(waited)
    return waited


@transaction.atomic
def _begin(*, name: str, password: str, client: Client) -> Attempt | int:
    user = user_named(name)
    subject = _subject(user, name)
    _lock(f"login {subject}", f"login {client.network}")
    # After the clock was set back, a try in the future would make its account wait until that time.
    LoginTry.objects.filter(at__gt=Now()).update(at=Now())
    LoginTry.objects.filter(at__lt=Now() - 2 * WINDOW).delete()
    known = _known_by(user, client)
    row = LoginTry(
        name=subject,
        address=client.network[:64],
        device=client.device_key if known == "device" else "",
        is_known=bool(known),
        # A keyed digest of 32 bits is enough to detect one password tried for many accounts, and too short to
        # recover the password.
        password_digest=_digest("password", normalize(password))[:8],
    )
    for rule, rows, wait in (*_waits(row), *(() if known == "device" else _spray_waits(row))):
        if wait:
            _record_slowed(rows, user, client, rule)
            return wait
    row.save()
    return Attempt(row, user, client)


def _lock(*keys: str) -> None:
    """Lock these keys, always in the same order, so that tries are processed one after the other."""
    with connection.cursor() as cursor:
        for key in sorted(set(keys)):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def _known_by(user: User | None, client: Client) -> str:
    """Return how the account knows this client: "device", "address", or "" for a new client."""
    if user is None:
        return ""
    keys = [key for key in (client.device_key, client.address_key) if key]
    places = KnownPlace.objects.filter(user=user, key__in=keys, last_at__gt=Now() - KNOWN_FOR)
    known = set(places.values_list("key", flat=True))
    return "device" if client.device_key in known else "address" if known else ""


def _waits(row: LoginTry) -> list[tuple[str, QuerySet[LoginTry], int]]:
    """Return (rule, counted tries, seconds to wait) of each rule for a try, the longest wait first."""
    recent = LoginTry.objects.filter(at__gt=Now() - WINDOW)
    account = recent.filter(name=row.name)
    here = account.filter(address=row.address, device="")
    if row.device:
        rules = [("device", account.filter(device=row.device), FREE_KNOWN)]
    elif row.is_known:
        rules = [("known_address", here, FREE_KNOWN)]
    else:
        rules = [
            ("new_address", here, FREE_NEW),
            ("account", account.filter(is_known=False), FREE_ACCOUNT),
            ("address", recent.filter(address=row.address, is_known=False), FREE_ADDRESS),
        ]
    waits = [(rule, rows, _wait(rows, free)) for rule, rows, free in rules]
    return sorted(waits, key=lambda one: -one[2])


def wait_after(failures: int, free: int) -> int:
    """Return the seconds from the last of `failures` failures to the next try."""
    return min(LONGEST_WAIT, FIRST_WAIT << min(failures - free, 20)) if failures >= free else 0


def _wait(rows: QuerySet[LoginTry], free: int) -> int:
    """Return the seconds that a try counted among these rows must still wait."""
    ages = list(rows.order_by("-at").annotate(age=Now() - F("at")).values_list("age", flat=True)[: free + 8])
    return _left(wait_after(len(ages), free), ages[0]) if ages else 0


def _left(wait: int, age: timedelta) -> int:
    return max(0, -(-(wait * 1000 - round(age.total_seconds() * 1000)) // 1000))


def _spray_waits(row: LoginTry) -> list[tuple[str, QuerySet[LoginTry], int]]:
    """Return the rule for a password that was wrong for several other accounts.

    For a new client, the tries from all addresses count; for a known client, only the tries from its address.
    """
    rows = LoginTry.objects.filter(password_digest=row.password_digest, at__gt=Now() - WINDOW)
    rows = rows.exclude(name=row.name)
    if row.is_known:
        rows = rows.filter(address=row.address)
    wait = wait_after(rows.values("name").distinct().count(), FREE_SPRAY)
    newest = rows.order_by("-at").annotate(age=Now() - F("at")).values_list("age", flat=True).first()
    return [("spray", rows, _left(wait, newest) if newest is not None else 0)]


def _record_slowed(rows: QuerySet[LoginTry], user: User | None, client: Client, rule: str) -> None:
    """Record that a rule makes tries wait, once after each counted failure and not at each refusal."""
    newest = rows.order_by("-at").first()
    if newest is None or newest.refused:
        return
    LoginTry.objects.filter(pk=newest.pk).update(refused=True)
    name = user.username if user is not None else ""
    record(kind="user.login_slowed", target=user, data={"name": name, "rule": rule, **client.for_event()})


def succeed(attempt: Attempt) -> None:
    """Delete the failures of this account from this device or address, because the password was right."""
    row = attempt.row
    tries = LoginTry.objects.filter(name=row.name)
    if row.device:
        tries.filter(device=row.device).delete()
    else:
        tries.filter(address=row.address, device="").delete()


def forget_failures(user: User) -> None:
    """Delete all failures of an account, so that the user can log in from anywhere without a wait.

    This happens after an admin or a mail has led to a new password.
    """
    LoginTry.objects.filter(name=f"user:{user.pk}").delete()
