"""Mails with a link for a new password. A link can be used once, and the sweeper sends the mails.

The answer to a request is the same whether the user exists or not. The web process only writes a row, so the
duration of sending a mail does not show whether a name exists either.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import translation
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from django.utils.translation import gettext as _

from mekiki.accounts import logins, notices, sessions, throttle
from mekiki.accounts.clients import Client
from mekiki.accounts.models import PasswordReset, User
from mekiki.accounts.outbox import is_mail_set_up
from mekiki.accounts.selectors import user_named
from mekiki.audit.services import record

log = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
PER_USER, PER_ADDRESS = 3, 20  # requests per hour
FIRST_WAIT = timedelta(minutes=1)  # after the first failure to send a mail; it doubles with each failure


@transaction.atomic
def request_password_reset(*, name: str, client: Client) -> None:
    """Store that the password of this user name or mail address was lost.

    The caller does not learn whether the user exists.
    """
    PasswordReset.objects.filter(asked_at__lt=Now() - 24 * HOUR).delete()
    recent = PasswordReset.objects.filter(asked_at__gt=Now() - HOUR)
    if recent.filter(address=client.network[:64]).count() >= PER_ADDRESS:
        return
    user = user_named(name)
    if user is None and "@" in name:
        matches = list(
            User.objects.filter(email__iexact=name.strip()[:254].replace("\0", ""), is_active=True)[:2]
        )
        user = matches[0] if len(matches) == 1 else None
    # A user without a password logs in another way. Only an admin can give such a user a password.
    if user is not None and not (user.is_active and user.email and user.has_usable_password()):
        user = None
    if user is not None and recent.filter(user=user).count() >= PER_USER:
        user = None
    PasswordReset.objects.create(
        user=user, address=client.network[:64], language=translation.get_language() or "en"
    )
    if user is not None:
        record(kind="user.reset_requested", target=user, data={"name": user.username, **client.for_event()})


def send_waiting_resets() -> int:
    """Send the waiting mails. Return how many were sent. Two processes never send the same mail.

    A mail that cannot be sent does not delay the others. It is tried again, at most for the hour in which its
    link would be useful.
    """
    sent, tried = 0, list[int]()
    if not is_mail_set_up():
        return 0
    while True:
        with transaction.atomic():
            waiting = PasswordReset.objects.select_for_update(skip_locked=True, of=("self",)).select_related(
                "user"
            )
            # A wait that is longer than the longest possible wait was stored before the clock was set back.
            due = Q(next_at__lte=Now()) | Q(next_at__gt=Now() + HOUR)
            waiting = waiting.filter(due, asked_at__gt=Now() - HOUR, user__isnull=False, sent_at=None)
            row = waiting.exclude(pk__in=tried).order_by("pk").first()
            if row is None or row.user is None:
                return sent
            tried.append(row.pk)
            this = PasswordReset.objects.filter(pk=row.pk)
            try:
                _send(row.user, row.language)
            except (OSError, ValueError) as error:  # smtplib's errors are OSErrors
                log.warning("The mail for a lost password of user %s was not sent: %s", row.user.pk, error)
                wait = min(HOUR, FIRST_WAIT * 2**row.tries)
                this.update(next_at=Now() + wait, tries=row.tries + 1)
            else:
                this.update(sent_at=Now())
                sent += 1


def password_reset_url(user: User) -> str:
    """Return the address for a new password. It is valid for one hour, until the password changes."""
    arguments = [urlsafe_base64_encode(force_bytes(user.pk)), default_token_generator.make_token(user)]
    return settings.PUBLIC_URL.rstrip("/") + reverse("password-reset-link", args=arguments)


def _send(user: User, language: str) -> None:
    with translation.override(user.language or language):
        body = _(
            "A new password was requested for the user %(name)s at %(site)s.\n\nOpen this address "
            "within an hour to choose one:\n%(link)s\n\nIf you did not request it, do nothing: your "
            "password does not change."
        ) % {"name": user.username, "site": settings.PUBLIC_URL, "link": password_reset_url(user)}
        send_mail(_("New password for Mekiki"), body, None, [user.email])


def user_of_link(key: str, token: str) -> User | None:
    """Return the user of a link, or None if the link was used, is too old or was never sent."""
    try:
        pk = int(urlsafe_base64_decode(key).decode())
    except (ValueError, UnicodeDecodeError):
        return None
    user = User.objects.filter(pk=pk, is_active=True).first() if 0 < pk < 2**63 else None
    return user if user is not None and default_token_generator.check_token(user, token) else None


@transaction.atomic
def set_password_by_link(*, key: str, token: str, password: str, client: Client) -> User | None:
    """Set the password with a link. Return the user, or None if the link was used meanwhile.

    Raises ValidationError if the password is weak.
    """
    unlocked_user = user_of_link(key, token)
    if unlocked_user is None:
        return None
    User.objects.select_for_update().get(pk=unlocked_user.pk)
    user = user_of_link(key, token)  # again, under the lock: only one of two simultaneous requests succeeds
    if user is None:
        return None
    validate_password(password, user)
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    sessions.end_sessions(user=user)
    logins.forget_clients(user=user)
    throttle.forget_failures(user)
    record(
        kind="user.password_reset_by_mail", target=user, data={"name": user.username, **client.for_event()}
    )
    notices.notify_user(user, "user.password_reset_by_mail")
    return user
