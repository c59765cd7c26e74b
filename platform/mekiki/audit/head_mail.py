"""Mails with the head of the newest seal, for people outside the control of the platform's operators.

A mail is sent once a day if there is a new seal, and when an admin requests it. Sealing never waits for a
mail, because the sweeper sends the mails.
"""

import base64
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from mekiki.accounts import outbox
from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.models import OutgoingMail, SiteSettings, User
from mekiki.audit.models import Event, Seal
from mekiki.audit.sealing import signed_facts_of
from mekiki.audit.services import record
from mekiki.config import clock
from verification.signing import grouped

DAILY = timedelta(days=1)
MOST = 20  # recipients
LONGEST = 254  # characters of a mail address
MAILED = "seal.head_mailed"


def recipients() -> list[str]:
    """Return the addresses that receive the head."""
    return SiteSettings.objects.values_list("head_recipients", flat=True).first() or []


@transaction.atomic
def set_recipients(*, addresses: Iterable[str], user: User) -> list[str]:
    """Set who receives the head once a day; return the addresses without repetitions.

    An empty list means nobody. Raises PermissionDenied if the user is no admin of the platform, and
    ValidationError if an address is no mail address or there are too many.
    """
    require_platform_admin(user)
    wanted = list(dict.fromkeys(address.strip() for address in addresses if address.strip()))
    if len(wanted) > MOST:
        raise ValidationError(
            _("At most %(n)s addresses can get the head. Nothing was changed.") % {"n": MOST}
        )
    for address in wanted:
        try:
            validate_email(address if len(address) <= LONGEST else "")
        except ValidationError:
            raise ValidationError(
                _("“%(address)s” is no mail address. Nothing was changed.") % {"address": address[:254]}
            ) from None
    row = _locked()
    if row.head_recipients != wanted:
        before, row.head_recipients = row.head_recipients, wanted
        row.save(update_fields=["head_recipients"])
        data = {"before": before, "after": wanted}
        record(kind="seal.recipients_changed", actor=user, target=row, data=data)
    return wanted


@transaction.atomic
def mail_due_head() -> int:
    """Queue the newest head if it is new and a day has passed; return the number of mails.

    Called by the schedule.
    """
    if not outbox.is_mail_set_up() or not recipients():
        return 0
    row, seal = _locked(), newest_seal()
    if seal is None or seal.number <= row.head_mailed_seal:
        return 0
    if row.head_mailed_at is not None and not clock.has_passed(DAILY, row.head_mailed_at):
        return 0
    return len(_put(row, seal))


@transaction.atomic
def mail_head(*, user: User | None = None) -> list[OutgoingMail]:
    """Queue the newest head now; return the mails that wait. `user` is None on the command line.

    Raises PermissionDenied if the user is no admin of the platform. Raises ValidationError if mail is not set
    up, there are no recipients, or nothing is sealed.
    """
    if user is not None:
        require_platform_admin(user)
    if not outbox.is_mail_set_up():
        raise ValidationError(
            _(
                "This site sends no mail: MEKIKI_MAIL_URL and MEKIKI_PUBLIC_URL are not set. "
                "Nothing was mailed."
            )
        )
    row, seal = _locked(), newest_seal()
    if not row.head_recipients:
        raise ValidationError(
            _(
                "No address is entered for the head. Nothing was mailed. Enter addresses on the page "
                "of the seals."
            )
        )
    if seal is None:
        raise ValidationError(_("Nothing is sealed yet. Nothing was mailed."))
    return _put(row, seal)


def newest_seal() -> Seal | None:
    """Return the newest seal, or None if there is none."""
    return Seal.objects.select_related("key").order_by("-number").first()


def last_mailed() -> Event | None:
    """Return the event of the last mailed head, or None if no head was mailed."""
    return Event.objects.filter(kind=MAILED).order_by("-pk").first()


def mails_with_problems() -> list[OutgoingMail]:
    """Return the mails of heads with a sending problem, the newest first.

    These are mails that could not be sent so far, and mails that were given up.
    """
    rows = OutgoingMail.objects.filter(kind=OutgoingMail.Kind.SEAL_HEAD, sent_at=None).exclude(problem="")
    return list(rows.order_by("-pk")[:MOST])


def _put(row: SiteSettings, seal: Seal) -> list[OutgoingMail]:
    facts = signed_facts_of(seal)
    with translation.override(settings.LANGUAGE_CODE):
        head = f"{facts.number}:{facts.log_root.hex()}"
        subject = _("Mekiki: head of seal %(number)s") % {"number": facts.number}
        body = _(
            "Head of the seals of %(site)s\n\nSeal: %(number)s\nMade: %(at)s\n"
            "Root over all seals:\n%(root)s\n"
            "Key:\n%(key)s\nSignature (Ed25519, base64):\n%(signature)s\n\n"
            "Keep this mail where nobody who runs the platform can reach it. "
            "Compare it later, on the server or with a "
            "file of “mekiki audit export”:\n\nmekiki audit verify --head %(head)s\n"
            "mekiki audit verify FILE --head %(head)s"
        ) % {
            "site": settings.PUBLIC_URL,
            "number": facts.number,
            "at": facts.sealed_at,
            "root": grouped(facts.log_root.hex()),
            "key": grouped(facts.key),
            "signature": base64.b64encode(facts.signature).decode(),
            "head": head,
        }
    row.head_mailed_seal, row.head_mailed_at = facts.number, clock.now()
    row.save(update_fields=["head_mailed_seal", "head_mailed_at"])
    data = {"seal": facts.number, "root": facts.log_root.hex()}
    return [
        outbox.queue_mail(kind=OutgoingMail.Kind.SEAL_HEAD, to=address, subject=subject, body=body, data=data)
        for address in row.head_recipients
    ]


def _locked() -> SiteSettings:
    SiteSettings.objects.get_or_create(pk=SiteSettings.ONLY)
    return SiteSettings.objects.select_for_update().get(pk=SiteSettings.ONLY)
