"""Mails to a user about a change of the password, the mail address or a second factor.

The user can thus notice a change that somebody else made. The mails contain no secret and no link that does
anything. No mail is sent if the site sends no mail or the user has no address; the events record the change
in any case.
"""

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from mekiki.accounts import outbox, site
from mekiki.accounts.models import OutgoingMail, User
from mekiki.config import clock

# Kind of event → sentence of the mail.
SENTENCES = {
    "user.password_changed": gettext_noop("The password of your account was changed."),
    "user.password_reset": gettext_noop("Your account was given a new password by an admin of the platform."),
    "user.password_reset_by_mail": gettext_noop(
        "The password of your account was changed by a link that was mailed to you."
    ),
    "user.mail_changed": gettext_noop("The mail address of your account was changed."),
    "user.app_added": gettext_noop("An authenticator app was added to your account."),
    "user.app_removed": gettext_noop("The authenticator app of your account was removed."),
    "user.passkey_added": gettext_noop("A passkey was added to your account."),
    "user.passkey_removed": gettext_noop("A passkey of your account was removed."),
    "user.sign_on_linked": gettext_noop("Single sign-on was linked to your account."),
    "user.sign_on_unlinked": gettext_noop("A link of single sign-on was removed from your account."),
    "user.recovery_codes_made": gettext_noop("New recovery codes were made for your account."),
    "user.factors_reset": gettext_noop(
        "All second factors of your account were removed by an admin of the platform."
    ),
}


def tell(user: User, kind: str, *, to: str | None = None) -> None:
    """Put a mail to the user about this change into the outbox, within the transaction of the change.

    `kind` is a key of SENTENCES. `to` is an address to use instead of the user's address.
    """
    address = user.email if to is None else to
    if not address or not outbox.is_set_up():
        return
    with translation.override(language_of(user)):
        at = timezone.localtime(clock.now(), site.zone())
        facts = {
            "what": _(SENTENCES[kind]),
            "name": user.username,
            "site": settings.PUBLIC_URL,
            "at": f"{at:%Y-%m-%d %H:%M} ({at.tzname()})",
        }
        body = _(
            "%(what)s\n\nUser: %(name)s\nSite: %(site)s\nTime: %(at)s\n\n"
            "If it was not you, tell an admin of the platform at once."
        )
        subject = _("Your Mekiki account was changed")
        outbox.put(kind=OutgoingMail.Kind.NOTICE, to=address, subject=subject, body=body % facts, user=user)


def language_of(user: User) -> str:
    """Return the language of mails to this user."""
    return user.language or settings.LANGUAGE_CODE
