"""The outbox: mails that wait to be sent.

A page or a job only writes a row. The sweeper sends the mail and tries again after a failure, so a slow or
missing mail server delays nobody. The text of a mail is deleted after the mail was sent or given up.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from mekiki.accounts.models import OutgoingMail, User
from mekiki.audit.services import record

TRIES = 8
# The wait after the first failure. It doubles with each failure, to about two hours in all.
FIRST_WAIT = timedelta(minutes=1)
KEPT = timedelta(days=7)


def is_mail_set_up() -> bool:
    """Return whether this site sends mail."""
    return bool(settings.EMAIL_HOST and settings.PUBLIC_URL)


def queue_mail(
    *,
    kind: str,
    to: str,
    subject: str,
    body: str,
    user: User | None = None,
    data: dict[str, Any] | None = None,
) -> OutgoingMail:
    """Store a mail to send, within the caller's transaction.

    `data` is added to the event that records that the mail was sent.
    """
    OutgoingMail.objects.filter(asked_at__lt=Now() - KEPT).delete()
    return OutgoingMail.objects.create(
        kind=kind, to=to, subject=subject, body=body, user=user, data=data or {}
    )


def send_waiting_mails(only: Collection[int] | None = None) -> int:
    """Send the waiting mails. Return how many were sent. Two processes never send the same mail.

    `only` holds the ids of the mails to send, including mails that wait for another try.
    """
    if not is_mail_set_up():
        return 0
    sent, tried = 0, list[int]()
    while True:
        with transaction.atomic():
            rows = OutgoingMail.objects.select_for_update(skip_locked=True).filter(
                sent_at=None, given_up_at=None
            )
            # A wait that is longer than the longest possible wait was stored before the clock was set back.
            due = Q(next_at__lte=Now()) | Q(next_at__gt=Now() + FIRST_WAIT * 2**TRIES)
            rows = rows.filter(due) if only is None else rows.filter(pk__in=only)
            row = rows.exclude(pk__in=tried).order_by("pk").first()
            if row is None:
                return sent
            tried.append(row.pk)
            sent += _send(row)


def _send(row: OutgoingMail) -> bool:
    try:
        send_mail(row.subject, row.body, None, [row.to])
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors
        _note_failure(row, f"{type(error).__name__}: {error}"[:300])
        return False
    OutgoingMail.objects.filter(pk=row.pk).update(sent_at=Now(), body="", problem="", tries=F("tries") + 1)
    if row.kind == OutgoingMail.Kind.SEAL_HEAD:
        record(kind="seal.head_mailed", data={**row.data, "to": row.to})
    return True


def _note_failure(row: OutgoingMail, problem: str) -> None:
    tries = row.tries + 1
    changes: dict[str, Any] = {
        "tries": tries,
        "problem": problem,
        "next_at": Now() + FIRST_WAIT * 2**row.tries,
    }
    if tries >= TRIES:
        changes |= {"given_up_at": Now(), "body": ""}
        record(
            kind="site.mail_failed",
            target=row,
            data={"mail": row.kind, "name": row.to, "why": problem, **row.data},
        )
    OutgoingMail.objects.filter(pk=row.pk).update(**changes)
