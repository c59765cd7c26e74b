"""Locks that serialize the actions of the review.

To avoid deadlocks, locks are taken in this order: the reviewer, the image, its items, the leases.
"""

from datetime import datetime

from mekiki.config import clock
from mekiki.config.compiled import run_prepared

_REVIEWER, _DATASET = 0x4D4B5201, 0x4D4B5202


def lock_reviewer(user_id: int) -> datetime:
    """Lock a reviewer until the transaction ends, so that two tabs cannot undo the same answer.

    Return the database's time of day after the lock was taken (config.clock).
    """
    return _lock(_REVIEWER, user_id)


def lock_training_request(dataset_id: int) -> None:
    """Lock the training requests of a dataset until the transaction ends."""
    _lock(_DATASET, dataset_id)


def _lock(space: int, key: int) -> datetime:
    # PostgreSQL computes the columns of a row from left to right.
    sql = "SELECT pg_advisory_xact_lock(%s::int, %s::int), clock_timestamp()"
    with run_prepared(sql, [space, key % 2**31]) as cursor:
        return clock.now(cursor.fetchone()[1])
