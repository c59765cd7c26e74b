"""Locks that serialize the actions of the review.

To avoid deadlocks, locks are taken in this order: the reviewer, the image, its items, the leases.
"""

from mekiki.config.compiled import run_prepared

_REVIEWER, _DATASET = 0x4D4B5201, 0x4D4B5202


def lock_reviewer(user_id: int) -> None:
    """Lock a reviewer until the transaction ends, so that two tabs cannot undo the same answer."""
    _lock(_REVIEWER, user_id)


def lock_training_request(dataset_id: int) -> None:
    """Lock the training requests of a dataset until the transaction ends."""
    _lock(_DATASET, dataset_id)


def _lock(space: int, key: int) -> None:
    run_prepared("SELECT pg_advisory_xact_lock(%s::int, %s::int)", [space, key % 2**31]).close()
