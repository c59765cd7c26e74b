"""Mails to a user about a change of the password, the mail address or a second factor.

The user can thus notice a change that somebody else made. The mails contain no secret and no link that does
anything. No mail is sent if the site sends no mail or the user has no address; the events record the change
in any case.
"""

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from mekiki.accounts import outbox, site
from mekiki.accounts.messages import ACCOUNT_CHANGES
from mekiki.accounts.models import OutgoingMail, User
from mekiki.config import clock


def notify_user(user: User, kind: str, *, to: str | None = None) -> None:
    """Put a mail to the user about this change into the outbox, within the transaction of the change.

    `kind` is a code of ACCOUNT_CHANGES. `to` is an address to use instead of the user's address.
    """
    address = user.email if to is None else to
    if not address or not outbox.is_mail_set_up():
        return
    with translation.override(language_of(user)):
        at = timezone.localtime(clock.now(), site.site_zone())
        facts = {
            "what": ACCOUNT_CHANGES.render(kind),
            "name": user.username,
            "site": settings.PUBLIC_URL,
            "at": f"{at:%Y-%m-%d %H:%M} ({at.tzname()})",
        }
        body = _(
            "%(what)s\n\nUser: %(name)s\nSite: %(site)s\nTime: %(at)s\n\n"
            "If it was not you, tell an admin of the platform at once."
        )
        subject = _("Your Mekiki account was changed")
        outbox.queue_mail(
            kind=OutgoingMail.Kind.NOTICE, to=address, subject=subject, body=body % facts, user=user
        )


def language_of(user: User) -> str:
    """Return the language of mails to this user."""
    return user.language or settings.LANGUAGE_CODE
