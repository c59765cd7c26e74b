"""Locks that order the acts of the review.

Order, so that no two acts wait for each other: the reviewer, then the image, then its items, then leases.
"""

from django.db import connection

_REVIEWER, _DATASET = 0x4D4B5201, 0x4D4B5202


def lock_reviewer(user_id: int) -> None:
    """One act of one reviewer at a time, until the transaction ends: two tabs cannot undo the same answer."""
    _lock(_REVIEWER, user_id)


def lock_dataset_questions(dataset_id: int) -> None:
    """One request for training at a time in one dataset, until the transaction ends."""
    _lock(_DATASET, dataset_id)


def _lock(space: int, key: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [space, key % 2**31])
