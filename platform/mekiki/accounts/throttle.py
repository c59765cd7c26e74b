"""Slow password guessing down: few tries for one account from one address, and more for one address in all.

Kept in the database, because several web processes share it. A try is noted before the password is looked at,
one after the other, so that many at the same moment count as well. Tries count for the account that a name leads
to: other spellings of the name are no further tries, and a name that only looks alike is another account's.
"""

import hashlib
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpRequest
from django.utils import timezone

from mekiki.accounts.models import LoginTry
from mekiki.accounts.names import name_key
from mekiki.accounts.selectors import user_named
from mekiki.audit.services import record

LIMIT = 10  # wrong tries for one account from one address
ADDRESS_LIMIT = 100  # wrong tries from one address, for any names: a whole shop floor may share one
WINDOW = timedelta(minutes=5)


def address_of(request: HttpRequest) -> str:
    """Where a request comes from. Behind a trusted proxy: the address the proxy saw, its own last entry."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if settings.HTTPS and forwarded:
        return forwarded.rsplit(",", 1)[-1].strip()[:64]
    return str(request.META.get("REMOTE_ADDR", ""))[:64]


def subject_of(name: str) -> str:
    """Return what tries for a typed name are counted under: the account it leads to, else its own key."""
    user = user_named(name)
    if user is not None:
        return f"user:{user.pk}"
    return f"name:{hashlib.sha256(name_key(name).encode(errors='replace')).hexdigest()}"


@transaction.atomic
def begin(*, name: str, address: str) -> int:
    """Note a try; return the seconds to wait before it may go on: 0, go on now."""
    now = timezone.now()
    subject = subject_of(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"login {address}"])
    LoginTry.objects.filter(at__lt=now - 2 * WINDOW).delete()
    recent = LoginTry.objects.filter(address=address, at__gt=now - WINDOW).order_by("-at")
    for rows, limit in ((recent.filter(name=subject), LIMIT), (recent, ADDRESS_LIMIT)):
        # Refused tries are not noted: waiting ends, however often one asks meanwhile.
        times = list(rows.values_list("at", flat=True)[:limit])
        if len(times) >= limit:
            return max(1, round((times[-1] + WINDOW - now).total_seconds()))
        if len(times) == limit - 1:
            record(kind="user.login_slowed", data={"name": name[:150], "address": address})
    LoginTry.objects.create(name=subject, address=address, at=now)
    return 0


def succeed(*, name: str, address: str) -> None:
    """Forget the tries for this account from this address: the right password was given."""
    LoginTry.objects.filter(name=subject_of(name), address=address).delete()
