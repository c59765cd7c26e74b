"""Requests for seals and for seal checks, by the schedule or by an admin of the platform."""

from datetime import timedelta

from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.models import User
from mekiki.audit.keys import current_key
from mekiki.audit.models import Seal, SealCheck
from mekiki.audit.sealing import has_rows_to_seal
from mekiki.config import clock
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import enqueue

# After a failure (for example a missing key file), the schedule requests a seal or a check only once in this
# time.
PAUSE_AFTER_FAILURE = timedelta(hours=1)
BETWEEN_CHECKS = timedelta(days=1)


def enqueue_scheduled_seal() -> Job | None:
    """Enqueue a seal job for the schedule if there are rows to seal. Return the job, or None.

    Returns None too if there is no key, and for PAUSE_AFTER_FAILURE after a failed seal job.
    """
    if current_key() is None or not has_rows_to_seal() or _failed_just_now(Kind.SEAL):
        return None
    return enqueue(kind=Kind.SEAL)


def _failed_just_now(kind: Kind) -> bool:
    newest = Job.objects.filter(kind=kind).order_by("-number").first()
    return (
        newest is not None
        and newest.state == State.FAILED
        and newest.finished_at is not None
        and not clock.has_passed(PAUSE_AFTER_FAILURE, newest.finished_at)
    )


def enqueue_scheduled_check() -> Job | None:
    """Enqueue a seal check for the schedule if the last one is older than a day. Return the job, or None.

    Returns None too if there are no seals, and for PAUSE_AFTER_FAILURE after a failed check.
    """
    newest = SealCheck.objects.order_by("-pk").first()
    if not Seal.objects.exists() or (newest is not None and not clock.has_passed(BETWEEN_CHECKS, newest.at)):
        return None
    return None if _failed_just_now(Kind.CHECK_SEALS) else enqueue(kind=Kind.CHECK_SEALS)


def request_seal(*, user: User) -> Job:
    """Enqueue a seal job for an admin of the platform. Raises PermissionDenied for other users."""
    require_platform_admin(user)
    return enqueue(kind=Kind.SEAL, user=user)


def request_check(*, user: User) -> Job:
    """Enqueue a seal check for an admin of the platform. Raises PermissionDenied for other users."""
    require_platform_admin(user)
    return enqueue(kind=Kind.CHECK_SEALS, user=user)
