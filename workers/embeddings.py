"""The mirror: an encoder's embeddings of one dataset as memory-mapped arrays outside the database.

PostgreSQL is authoritative. Its triggers record each statement that adds or removes embeddings, with a random
token and the bounds of its image ids (learning.EmbeddingChange), and refuse to change a vector in place. A
mirror stores the tokens it has applied and reads only the id ranges of new tokens. Rows that become visible
out of the order of their ids, removals and several writers are therefore handled in the same way, and nothing
is counted over all rows. A mirror is built again if one of its tokens is missing (another database, a
restored backup), or if its number of rows differs from the sum of the changes. workers.mirror_files describes
the checks of the files.

Two cases are not detected. Rows may be written while the triggers are off, unless their ids lie in a range
that is read again. An image's audit key or dataset may change, but nothing in this system does that.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from filelock import FileLock
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset
from mekiki.learning.models import Encoder
from mekiki.learning.vectors import embedding_changes, read_embeddings
from workers.mirror_files import MirrorState, Rows, apply_changes, load_valid_state, map_file, save_state

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DetailVectors:
    """The detail descriptors of the images of a mirror."""

    encoder_id: int  # of the row of the descriptor
    rows: NDArray[np.int64]  # (n,) the row in `vectors` of each row of the mirror; -1: none
    vectors: NDArray[np.float16]  # (m, k)

    def of(self, rows: slice | NDArray[np.int64], blank: NDArray[np.float16]) -> NDArray[np.float16]:
        """Return the descriptors (r, k) of these rows of the mirror; `blank` (k,) for those without one."""
        places = self.rows[rows]
        if not len(self.vectors):
            return np.repeat(blank[None], len(places), axis=0)
        values = self.vectors[np.maximum(places, 0)]
        values[places < 0] = blank
        return values


@dataclass(frozen=True)
class Mirror:
    """Embeddings of one dataset, rows in ascending order of image id."""

    ids: NDArray[np.int64]  # (n,) image ids
    keys: NDArray[np.float64]  # (n,) audit keys
    vectors: NDArray[np.float16]  # (n, d)
    detail: "DetailVectors | None" = None  # set by workers.steps.vectors.load_vectors

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, image_ids: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return (row of each image, mask of the images that have a row). A row is 0 if there is none."""
        wanted = np.asarray(image_ids, np.int64)
        if not len(self.ids):
            return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
        at = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        embedded = self.ids[at] == wanted
        return np.where(embedded, at, 0), embedded

    def mask_of(self, image_ids: Any) -> NDArray[np.bool_]:
        """Return the mask (n,) of the rows of these images."""
        mask = np.zeros(len(self), bool)
        rows, embedded = self.rows_of(image_ids)
        mask[rows[embedded]] = True
        return mask


def mirror_folder(encoder: Encoder, dataset: Dataset) -> Path:
    """Return the folder of a mirror.

    Its name contains the digest and the dataset's seed, so a mirror of another database is never used.
    """
    name = f"{encoder.digest[:16]}-{encoder.precision}-{dataset.seed}-{encoder.pk}-{dataset.pk}"
    return Path(settings.HOME) / "cache" / "embeddings" / name


def load_mirror(
    encoder: Encoder, dataset: Dataset, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Mirror:
    """Return the mirror, updated from the database. `progress(done, total)` is called per chunk."""
    folder = mirror_folder(encoder, dataset)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder), _snapshot_connection() as moment:
        changes = embedding_changes(encoder=encoder, dataset=dataset, using=moment)
        held = load_valid_state(folder, encoder.dim)
        if held is None or not np.isin(held.tokens, changes.tokens).all():
            held = MirrorState()
        fresh = ~np.isin(changes.tokens, held.tokens)
        if not fresh.any():
            return _open(folder, encoder.dim, held.count)
        before, done = held.count, 0

        def read(first: int, last: int) -> Iterator[Rows]:
            nonlocal done
            for rows in read_embeddings(
                encoder=encoder, dataset=dataset, after=first - 1, until=last, using=moment
            ):
                yield rows
                done += len(rows[0])
                progress(min(before + done, changes.rows), changes.rows)

        held = apply_changes(
            folder, encoder.dim, held, _merged(changes.low[fresh], changes.high[fresh]), read
        )
        if held.count != changes.rows and before:
            held = apply_changes(folder, encoder.dim, MirrorState(), [(0, 2**63 - 1)], read)
        if held.count == changes.rows:
            held = replace(held, tokens=changes.tokens)
        else:
            # Rows were written with triggers off. The rows read just now are right; they are read again next
            # time.
            logger.error("Embeddings of %s by %s: the changes add up to %s, the rows to %s.",
                         dataset, encoder, changes.rows, held.count)  # fmt: skip
            held = replace(held, tokens=np.empty(0, np.uint64))
        save_state(folder, encoder.dim, held)
        return _open(folder, encoder.dim, held.count)


@contextmanager
def _snapshot_connection() -> Iterator[BaseDatabaseWrapper]:
    """Yield a connection on which changes and rows are read in one snapshot while others write.

    It is a separate connection, because progress is written on the usual one during the copy.
    """
    if connection.in_atomic_block:
        yield connection
        return
    own = connection.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield own
    finally:
        own.close()


def _merged(low: NDArray[np.int64], high: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the ranges (both ends inclusive) in ascending order, with overlapping ranges merged."""
    merged: list[tuple[int, int]] = []
    for at in np.argsort(low, kind="stable"):
        first, last = int(low[at]), int(high[at])
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def delete_mirror(encoder: Encoder, dataset: Dataset) -> None:
    """Delete a mirror. It is built again when it is needed."""
    shutil.rmtree(mirror_folder(encoder, dataset), ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a mirror, so that one process writes it at a time. The lock ends with the process."""
    # A mirror of current rows is locked for milliseconds, so a waiting process looks often.
    with FileLock(folder / "lock", fallback_to_soft=False, poll_interval=0.01):
        yield


def _open(folder: Path, dim: int, count: int) -> Mirror:
    return Mirror(
        np.array(map_file(folder, "ids", count)),
        np.array(map_file(folder, "keys", count)),
        map_file(folder, "vectors", count, dim),
    )
