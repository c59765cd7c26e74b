"""When the seals are made and checked: asked for by the schedule, or by an admin of the platform."""

from datetime import timedelta

from mekiki.accounts.access import require_platform_admin
from mekiki.accounts.models import User
from mekiki.audit.keys import current_key
from mekiki.audit.models import Seal, SealCheck
from mekiki.audit.sealing import anything_to_seal
from mekiki.config import clock
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import enqueue

# After a failure (the key's file is missing, say) the schedule asks again once in this time.
PAUSE_AFTER_FAILURE = timedelta(hours=1)
BETWEEN_CHECKS = timedelta(days=1)


def ask_for_seal() -> Job | None:
    """Ask for a seal where there is a row worth one; return the job. For the schedule.

    None too where no key was made yet, and for a while after sealing failed.
    """
    if current_key() is None or not anything_to_seal():
        return None
    failed = Job.objects.filter(kind=Kind.SEAL).order_by("-number").first()
    if (
        failed is not None
        and failed.state == State.FAILED
        and failed.finished_at is not None
        and not clock.has_passed(PAUSE_AFTER_FAILURE, failed.finished_at)
    ):
        return None
    return enqueue(kind=Kind.SEAL)


def ask_for_check() -> Job | None:
    """Ask for a check of the seals where there are any and none was made for a day; return the job. For the schedule."""
    newest = SealCheck.objects.order_by("-pk").first()
    if not Seal.objects.exists() or (newest is not None and not clock.has_passed(BETWEEN_CHECKS, newest.at)):
        return None
    return enqueue(kind=Kind.CHECK_SEALS)


def request_seal(*, user: User) -> Job:
    """Seal now, asked for by an admin of the platform. PermissionDenied."""
    require_platform_admin(user)
    return enqueue(kind=Kind.SEAL, user=user)


def request_check(*, user: User) -> Job:
    """Check the seals now, asked for by an admin of the platform. PermissionDenied."""
    require_platform_admin(user)
    return enqueue(kind=Kind.CHECK_SEALS, user=user)
