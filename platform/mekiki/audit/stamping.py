"""Storage of time stamps with the seals that they are for."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.models import User
from mekiki.audit.models import Seal, SealTimeStamp
from mekiki.audit.sealing import signed_facts_of
from mekiki.audit.services import record
from mekiki.audit.time_stamps import MAX_REPLY, OTHER_SEAL, Reply, parse_reply, read_reply


def add_time_stamp(*, reply: bytes, roots_pem: bytes = b"", user: User | None = None) -> SealTimeStamp:
    """Store the reply of an authority with its seal; return it. `user` is None on the command line.

    Raises PermissionDenied if the user is no admin of the platform. Raises ValidationError if the reply is
    for no seal, if `roots_pem` does not certify its authority, or if it is stored already.
    """
    if user is not None:
        require_platform_admin(user)
    if len(reply) > MAX_REPLY or len(roots_pem) > MAX_REPLY:
        raise ValidationError(_("The file is too large for a time stamp."))
    try:
        seal = _seal_of(parse_reply(reply))
        facts = read_reply(reply, signed_facts_of(seal).statement(), roots_pem)
    except ValueError as error:
        raise ValidationError(
            _("The time stamp was not accepted: %(why)s. Data stored before is kept.")
            % {"why": _(str(error))}
        ) from None
    with transaction.atomic():
        if SealTimeStamp.objects.filter(seal=seal, reply=reply).exists():
            raise ValidationError(_("This time stamp is kept already."))
        stamp = SealTimeStamp.objects.create(
            seal=seal,
            reply=reply,
            roots_pem=_text(roots_pem.decode(errors="replace")),
            authority=_text(facts.authority)[:300],
            stamped_at=facts.at,
            added_by=user.get_username() if user else "",
        )
        record(
            kind="seal.time_stamped",
            actor=user,
            target=seal,
            data={"seal": seal.number, "name": stamp.authority, "at": facts.at.isoformat()},
        )
    return stamp


def _seal_of(reply: Reply) -> Seal:
    """Return the seal that a reply is for. Raises ValueError if there is none."""
    for seal in Seal.objects.select_related("key").order_by("-number").iterator(chunk_size=500):
        if reply.is_for(signed_facts_of(seal).statement()):
            return seal
    raise ValueError(OTHER_SEAL)


def _text(value: str) -> str:
    """Return a text without the NUL character, which PostgreSQL refuses."""
    return value.replace("\0", "\ufffd")
