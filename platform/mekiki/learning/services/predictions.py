"""Writes to predictions.

Each head has one partition, which is filled in bulk, then indexed, and later dropped as a whole.

The table has no foreign keys (docs/decisions/0012). A million checks would cost more than all other work, and
attaching or dropping a partition with foreign keys would block imports. Triggers of a migration on images,
labels and heads replace the foreign keys, together with advisory locks. Code that stores predictions takes
the dataset's lock in shared mode. A deletion of images or labels takes it in exclusive mode. So neither
misses the other's rows.
"""

import logging
import time
from typing import Any

import numpy as np
import psycopg
from django.db import OperationalError, connection, transaction
from django.db.utils import IntegrityError
from numpy.typing import ArrayLike, NDArray
from psycopg import sql

from mekiki.datasets.models import Dataset
from mekiki.learning.binary import FLOAT8, INT8, blank_rows, copy_in, copy_out
from mekiki.learning.models import Head
from mekiki.learning.selectors import champion

TABLE = "learning_prediction"
# First number of an advisory lock. The triggers (learning/migrations) take it in exclusive mode.
DATASET_LOCK_CLASS = 0x4D4B4C02
# A drop needs an exclusive lock on the parent table, and readers queue behind a drop that waits. So it waits
# only this long and is tried again later.
DROP_WAIT_MS = 40
DROP_TRIES = 40
DROP_PAUSE = 0.25  # seconds

log = logging.getLogger(__name__)


def table_of(head_id: int) -> str:
    """Return the name of the partition with a head's predictions."""
    return f"{TABLE}_{head_id}"


def _lock_head(cursor: Any, head: Head) -> None:
    """Lock the head until the transaction ends, so that no one else stores for it or deletes it.

    Raises Head.DoesNotExist if the head was deleted.
    """
    cursor.execute("SELECT learning_hold_head(%s)", [head.pk])
    _require_head(cursor, head)


def _require_head(cursor: Any, head: Head) -> None:
    if not cursor.fetchone()[0]:
        raise Head.DoesNotExist(f"head {head.pk} is gone")


@transaction.atomic
def open_predictions(*, head: Head) -> None:
    """Create the head's partition if it does not exist, with no index except the primary key.

    Another role owns the tables, so functions of that role (learning/migrations) change them. Raises
    Head.DoesNotExist if the head was deleted.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT learning_open_predictions(%s)", [head.pk])
        _require_head(cursor, head)


def store_predictions(
    *,
    head: Head,
    image_ids: ArrayLike,
    label_ids: ArrayLike,
    runner_up_ids: ArrayLike | None,
    confidence: ArrayLike,
    margin: ArrayLike,
    entropy: ArrayLike,
) -> int:
    """Store a head's predictions, and return the number of new rows. Existing rows are not changed.

    All arrays have shape (n,). runner_up_ids: None if the head has only one label. Images that do not exist
    or belong to another dataset are skipped. Raises ValueError if the lengths differ, and IntegrityError if a
    label does not exist.
    """
    ids = np.asarray(image_ids, np.int64)
    columns: dict[str, NDArray[Any]] = {"image_id": ids, "label_id": np.asarray(label_ids, np.int64)}
    if runner_up_ids is not None:
        columns["runner_up_id"] = np.asarray(runner_up_ids, np.int64)
    numbers = {"confidence": confidence, "margin": margin, "entropy": entropy}
    columns |= {name: np.asarray(values, np.float64) for name, values in numbers.items()}
    if any(values.shape != ids.shape for values in columns.values()) or ids.ndim != 1:
        raise ValueError("predictions must be arrays of one length")
    if not len(ids):
        return 0
    open_predictions(head=head)  # in a separate transaction, because its lock blocks other partitions
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock_shared(%s, %s)", [DATASET_LOCK_CLASS, head.dataset_id % 2**31]
            )
            _lock_head(cursor, head)
        _require_labels(columns)
        # Ascending ids append to the end of the primary key. Of an image given twice, the first row is used.
        ascending, first = np.unique(ids, return_index=True)
        low, high = int(ascending[0]), int(ascending[-1])
        new = np.isin(ascending, _images(head, low, high)) & ~np.isin(ascending, _stored(head, low, high))
        rows = blank_rows(
            int(new.sum()),
            {"head_id": INT8} | {k: FLOAT8 if v.dtype.kind == "f" else INT8 for k, v in columns.items()},
        )
        rows["head_id"] = head.pk
        for name, values in columns.items():
            rows[name] = values[first[new]]
        copy_in(table_of(head.pk), ["head_id", *columns], rows)
    return len(rows)


def _require_labels(columns: dict[str, NDArray[Any]]) -> None:
    wanted = np.unique(np.concatenate([columns[k] for k in ("label_id", "runner_up_id") if k in columns]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM labeling_label WHERE id = ANY(%s)", [wanted.tolist()])
        gone = set(wanted.tolist()) - {row[0] for row in cursor.fetchall()}
    if gone:
        raise IntegrityError(f"labels {sorted(gone)} do not exist")


def _images(head: Head, low: int, high: int) -> NDArray[np.int64]:
    """Return the ids of the images of the head's dataset with low <= id <= high."""
    return _ids(
        sql.SQL("SELECT id FROM datasets_image WHERE dataset_id = {} AND id BETWEEN {} AND {}").format(
            sql.Literal(head.dataset_id), sql.Literal(low), sql.Literal(high)
        )
    )


def _stored(head: Head, low: int, high: int) -> NDArray[np.int64]:
    """Return the ids of the images with low <= id <= high that have a prediction of the head."""
    return _ids(
        sql.SQL("SELECT image_id FROM {} WHERE head_id = {} AND image_id BETWEEN {} AND {}").format(
            sql.Identifier(TABLE), sql.Literal(head.pk), sql.Literal(low), sql.Literal(high)
        )
    )


def _ids(query: sql.Composable) -> NDArray[np.int64]:
    parts = [rows["id"].astype(np.int64) for rows in copy_out(query, {"id": INT8})]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


@transaction.atomic
def index_predictions(*, head: Head) -> None:
    """Create the indexes for the filters and the order of the gallery, unless they exist.

    Call this after all predictions are stored: one sort costs much less than a million unordered insertions.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT learning_index_predictions(%s)", [head.pk])


def drop_replaced_predictions(dataset: Dataset) -> int:
    """Drop the predictions of all heads of the dataset except the head in use.

    Return the number of heads whose predictions were dropped.

    The caller must hold the learning lock (workers.locks), because another job can store predictions of a
    challenger. Predictions that are being read for a long time stay until the next call.
    """
    in_use = champion(dataset)
    if in_use is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.id FROM learning_head h WHERE h.dataset_id = %s AND h.id <> %s "
            "AND to_regclass(%s || h.id) IS NOT NULL ORDER BY h.id",
            [dataset.pk, in_use.pk, f"{TABLE}_"],
        )
        stale = [row[0] for row in cursor.fetchall()]
    return sum(_drop(head_id) for head_id in stale)


def _drop(head_id: int) -> bool:
    """Drop a partition and return whether that succeeded. Readers wait at most DROP_WAIT_MS at a time."""
    for attempt in range(DROP_TRIES):
        if attempt:
            time.sleep(DROP_PAUSE)
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT current_setting('lock_timeout')")
                before = cursor.fetchone()[0]
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{DROP_WAIT_MS}ms"])
                cursor.execute("SELECT learning_drop_predictions(%s)", [head_id])
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [before])
            return True
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
    log.warning("predictions of head %s are being read and stay for now", head_id)
    return False
