"""Guessing passwords is slowed down: a few tries for one name from one address, then a pause.

Kept in the database, because several web processes share it. A try is noted before the password is looked at,
one after the other, so that many at the same moment count as well.
"""

from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest
from django.utils import timezone

from mekiki.accounts.models import LoginTry
from mekiki.audit.services import record

LIMIT = 10
WINDOW = timedelta(minutes=5)


def address_of(request: HttpRequest) -> str:
    """Where a request comes from. Behind a trusted proxy: the address the proxy saw, its own last entry."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if settings.HTTPS and forwarded:
        return forwarded.rsplit(",", 1)[-1].strip()[:64]
    return str(request.META.get("REMOTE_ADDR", ""))[:64]


@transaction.atomic
def begin(*, name: str, address: str) -> int:
    """Note a try; returns the seconds to wait before it may go on: 0, go on now."""
    now = timezone.now()
    name = name.strip().casefold()[:150]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"login {name} {address}"])
    LoginTry.objects.filter(at__lt=now - 2 * WINDOW).delete()
    recent = LoginTry.objects.filter(name=name, address=address, at__gt=now - WINDOW)
    # Refused tries are not noted: waiting ends, however often one asks meanwhile.
    times = list(recent.order_by("-at").values_list("at", flat=True)[:LIMIT])
    if len(times) >= LIMIT:
        return max(1, round((times[-1] + WINDOW - now).total_seconds()))
    LoginTry.objects.create(name=name, address=address, at=now)
    if len(times) == LIMIT - 1:
        record(kind="user.login_slowed", data={"name": name, "address": address})
    return 0


def succeed(*, name: str, address: str) -> None:
    """Forget the tries: the right password was given."""
    LoginTry.objects.filter(name=name.strip().casefold()[:150], address=address).delete()
