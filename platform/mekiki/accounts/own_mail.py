"""The user's own mail address. A new address takes effect when its user opens the mailed link.

The link is valid for one day and for one user, while the user's present address stays the same.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from mekiki.accounts import notices, outbox
from mekiki.accounts.models import OutgoingMail, User
from mekiki.audit.services import record

SALT = "mekiki.accounts.own_mail"
# Measured with the clock of the process, like Django's signed values. A clock set forward ends a link early.
VALID = timedelta(days=1)
PER_HOUR = 5


@dataclass(frozen=True)
class EmailChange:
    """The content of a link: the user, the address before and the new address."""

    user_id: int
    before: str
    email: str


@transaction.atomic
def request_email_change(*, user: User, email: str) -> None:
    """Mail a link to a new address of the user. An empty `email` removes the address at once.

    Raises ValidationError if `email` is invalid or the present address, if there were too many links within
    an hour, or if this site sends no mail.
    """
    row = User.objects.select_for_update().get(pk=user.pk)
    if email == row.email:
        raise ValidationError(_("This is your present mail address. Nothing was changed."))
    if not email:
        _change(row, "")
        return
    validate_email(email)
    if not outbox.is_mail_set_up():
        raise ValidationError(_("This site sends no mail. Ask an admin of the platform to set your address."))
    recent = OutgoingMail.objects.filter(
        user=row, kind=OutgoingMail.Kind.NEW_ADDRESS, asked_at__gt=Now() - timedelta(hours=1)
    )
    if recent.count() >= PER_HOUR:
        raise ValidationError(_("Too many links were sent. Nothing was changed. Try again in an hour."))
    with translation.override(notices.language_of(row)):
        body = _(
            "The user %(name)s at %(site)s wants to use this mail address.\n\n"
            "If it is you, open this address within a day, logged in as %(name)s:\n%(link)s\n\n"
            "If it is not you, do nothing."
        ) % {"name": row.username, "site": settings.PUBLIC_URL, "link": confirmation_link(row, email)}
        outbox.queue_mail(
            kind=OutgoingMail.Kind.NEW_ADDRESS,
            to=email,
            subject=_("Confirm your mail address for Mekiki"),
            body=body,
            user=row,
        )
    record(kind="user.mail_asked", actor=row, target=row, data={"name": row.username})


def confirmation_link(user: User, email: str) -> str:
    """Return the link that sets the user's address to `email`."""
    token = signing.dumps([user.pk, user.email, email], salt=SALT)
    return settings.PUBLIC_URL.rstrip("/") + reverse("own-mail-link", args=[token])


def read_change_link(token: str, user: User) -> EmailChange | None:
    """Return the content of a link, or None if it is forged, too old, used or for another user."""
    try:
        user_id, before, email = signing.loads(token, salt=SALT, max_age=VALID)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    wanted = EmailChange(user_id, before, email)
    return wanted if (user_id, before) == (user.pk, user.email) else None


@transaction.atomic
def apply_change_link(*, token: str, user: User) -> str | None:
    """Set the user's mail address to the one in a link. Return it, or None if the link is not valid."""
    row = User.objects.select_for_update().get(pk=user.pk)
    wanted = read_change_link(token, row)
    if wanted is None:
        return None
    _change(row, wanted.email)
    return wanted.email


def _change(row: User, email: str) -> None:
    before, row.email = row.email, email
    row.save(update_fields=["email"])
    record(kind="user.mail_changed", actor=row, target=row, data={"name": row.username})
    for address in {before, email} - {""}:
        notices.notify_user(row, "user.mail_changed", to=address)
