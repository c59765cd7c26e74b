"""Predictions: a partition a head, loaded in bulk, indexed once it is full, and dropped as a whole.

The table has no foreign keys (docs/decisions/0012): a million checks cost more than everything else together, and
attaching or dropping a partition that has them stops imports. What they promised is kept by the migration's triggers
on images, labels and heads, and by two advisory locks here: whoever stores holds the dataset's one shared, and a
deletion of images or labels takes it alone, so that each sees what the other has done.
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
from mekiki.learning.models import Champion, Head

TABLE = "learning_prediction"
# First number of an advisory lock. The triggers of migration 0008 take it alone.
DATASET_SPACE = 0x4D4B4C02
# A drop needs the parent table for itself, and whoever reads predictions queues behind a drop that waits: it gives
# up after this long, and tries again while readers go on.
DROP_WAIT_MS = 40
DROP_TRIES = 40
DROP_PAUSE = 0.25  # seconds

log = logging.getLogger(__name__)


def table_of(head_id: int) -> str:
    """The name of the partition with a head's predictions."""
    return f"{TABLE}_{head_id}"


def _lock_head(cursor: Any, head: Head) -> None:
    """Nobody else stores for this head until the transaction ends, and the head stays. Head.DoesNotExist."""
    cursor.execute("SELECT learning_hold_head(%s)", [head.pk])
    _require_head(cursor, head)


def _require_head(cursor: Any, head: Head) -> None:
    if not cursor.fetchone()[0]:
        raise Head.DoesNotExist(f"head {head.pk} is gone")


@transaction.atomic
def open_predictions(*, head: Head) -> None:
    """Make the head's partition if it has none. It is empty and has no index but the primary key's.

    Head.DoesNotExist. The tables belong to another role than ours: functions of migration 0016 change them.
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
    """Keep a head's answers; those that exist stay. Returns how many are new.

    All (n,). runner_up_ids: None where the head knows a single label. Images that are gone by now, or are another
    dataset's, are left out. ValueError: arrays of different lengths. IntegrityError: a label that does not exist.
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
    open_predictions(head=head)  # a transaction of its own: another dataset's partition waits for it
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock_shared(%s, %s)", [DATASET_SPACE, head.dataset_id % 2**31]
            )
            _lock_head(cursor, head)
        _require_labels(columns)
        # Ascending, which keeps the primary key's growth at its right edge; of an image given twice, the first.
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
    """The images of the head's dataset with low <= id <= high."""
    return _ids(
        sql.SQL("SELECT id FROM datasets_image WHERE dataset_id = {} AND id BETWEEN {} AND {}").format(
            sql.Literal(head.dataset_id), sql.Literal(low), sql.Literal(high)
        )
    )


def _stored(head: Head, low: int, high: int) -> NDArray[np.int64]:
    """Those of them that the head has answered."""
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
    """Make the indexes the gallery filters and sorts by, unless they are there. To be called when all is stored,
    because sorting once costs much less than a million insertions in no order."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT learning_index_predictions(%s)", [head.pk])


def drop_replaced_predictions(dataset: Dataset) -> int:
    """Drop the predictions of every head of the dataset but the one in use. Returns of how many heads.

    To be called under the learning lock (workers.locks): another job may be storing those of a challenger.
    What somebody is reading for long stays until this is called again.
    """
    champion = Champion.objects.filter(dataset=dataset).first()
    if champion is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.id FROM learning_head h WHERE h.dataset_id = %s AND h.id <> %s "
            "AND to_regclass(%s || h.id) IS NOT NULL ORDER BY h.id",
            [dataset.pk, champion.head_id, f"{TABLE}_"],
        )
        stale = [row[0] for row in cursor.fetchall()]
    return sum(_drop(head_id) for head_id in stale)


def _drop(head_id: int) -> bool:
    """Drop a partition without making readers wait for longer than DROP_WAIT_MS at a time. False: left for later."""
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
