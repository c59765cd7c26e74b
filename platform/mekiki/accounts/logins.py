"""Password checks with the rules of accounts/throttle.py and an event for each result.

A backend, view or adapter that checks a password itself calls `check_login_allowed`, then
`record_login_failure` or `record_password_right`. For a user who is already known, `verify_password` does all
of this.
"""

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.db.models.functions import Now
from django.dispatch import receiver
from django.http import HttpRequest

from mekiki.accounts import throttle
from mekiki.accounts.clients import Client, client_of, new_device_token
from mekiki.accounts.models import KnownPlace, User
from mekiki.accounts.sessions import note_client
from mekiki.accounts.throttle import Attempt, LoginSlowed
from mekiki.audit.services import record

__all__ = [
    "Attempt", "LoginSlowed", "check_login_allowed", "record_login_failure", "record_login_success",
    "verify_password",
]  # fmt: skip


def check_login_allowed(*, name: str, password: str, request: HttpRequest | None) -> Attempt:
    """Store a try before the password is checked. Raises LoginSlowed, a ValidationError, if it must wait."""
    return throttle.register_attempt(name=name, password=password, client=client_of(request))


def record_login_failure(attempt: Attempt, *, door: str, actor: User | None = None) -> None:
    """Record that the password (or code) was wrong.

    `door` is the entry point: "login", "confirm", "password" or "second_factor". A name that belongs to no
    user is not stored, because it may be a password.
    """
    user = attempt.user
    reason = "unknown_name" if user is None else "wrong" if user.is_active else "deactivated"
    record(
        kind="user.login_failed",
        actor=actor,
        target=user,
        data={
            "name": user.username if user is not None else "",
            "reason": reason,
            "door": door,
            **attempt.client.for_event(),
        },
    )


def record_login_success(attempt: Attempt) -> None:
    """Delete the failures of this account from this device or address."""
    throttle.clear_failures(attempt)


def verify_password(*, user: User, password: str, request: HttpRequest, door: str) -> bool:
    """Return whether this is the password of a user who is already logged in.

    Raises LoginSlowed if the try must wait.
    """
    attempt = check_login_allowed(name=user.username, password=password, request=request)
    if user.check_password(password):
        record_login_success(attempt)
        return True
    record_login_failure(attempt, door=door, actor=user)
    return False


@transaction.atomic
def remember_client(*, user: User, client: Client) -> str:
    """Store the device and the address as known for this user. Return the new token of the device cookie.

    A token that this site has not issued is replaced, so that nobody can choose a token.
    """
    token = client.device
    if not token or not KnownPlace.objects.filter(key=client.device_key).exists():
        token = new_device_token()
    here = Client(client.address, client.agent, token)
    for key in (here.device_key, here.address_key):
        if key:
            KnownPlace.objects.update_or_create(user=user, key=key, defaults={"last_at": Now()})
    KnownPlace.objects.filter(user=user, last_at__lt=Now() - 2 * throttle.KNOWN_FOR).delete()
    return token


def forget_clients(*, user: User, but: Client | None = None) -> None:
    """Treat every device and address of the user as new, except `but`."""
    kept = [but.device_key, but.address_key] if but is not None else []
    KnownPlace.objects.filter(user=user).exclude(key__in=[key for key in kept if key]).delete()


@receiver(user_logged_in, dispatch_uid="mekiki.logins.logged_in")
def _logged_in(sender: object, request: HttpRequest, user: User, **_more: object) -> None:
    if "REQUEST_METHOD" not in request.META:  # created by a program, not sent by a client
        return
    client = client_of(request)
    request.new_device_token = remember_client(user=user, client=client)  # type: ignore[attr-defined]
    note_client(request)
    request.session.clear_expired()
    methods = getattr(request, "login_methods", [])  # written by accounts/login_flow.py
    record(kind="user.logged_in", actor=user, target=user, data={**client.for_event(), "methods": methods})


@receiver(user_logged_out, dispatch_uid="mekiki.logins.logged_out")
def _logged_out(sender: object, request: HttpRequest, user: User | None, **_more: object) -> None:
    if user is not None and "REQUEST_METHOD" in request.META:
        record(kind="user.logged_out", actor=user, target=user, data=client_of(request).for_event())
