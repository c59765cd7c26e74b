"""The mirror: an encoder's embeddings of one dataset as memory-mapped arrays, kept beside the database.

PostgreSQL is the truth. The mirror lies under HOME/cache and is filled by what is new; its number of rows and
the sum of their image ids are compared with the database each time, and where they differ it is built again.
Three files of raw little-endian numbers (image ids int64, audit keys float64, vectors float16) and a small
JSON that says how many rows of them count: a crash while appending leaves rows nobody counts.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset
from mekiki.learning.models import Encoder
from mekiki.learning.selectors import embedding_summary, read_embeddings

FORMAT = 1
_FILES: dict[str, np.dtype[Any]] = {
    "ids": np.dtype("<i8"),
    "keys": np.dtype("<f8"),
    "vectors": np.dtype("<f2"),
}


@dataclass(frozen=True)
class Mirror:
    """Embeddings of one dataset, rows in ascending order of image id."""

    ids: NDArray[np.int64]  # (n,) image ids
    keys: NDArray[np.float64]  # (n,) audit keys
    vectors: NDArray[np.float16]  # (n, d)

    def __len__(self) -> int:
        return len(self.ids)

    def rows_of(self, image_ids: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(row of each image, whether it has one); a row is 0 where it has none."""
        wanted = np.asarray(image_ids, np.int64)
        if not len(self.ids):
            return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
        at = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        found = self.ids[at] == wanted
        return np.where(found, at, 0), found

    def mask_of(self, image_ids: Any) -> NDArray[np.bool_]:
        """(n,) True at the rows of these images."""
        mask = np.zeros(len(self), bool)
        rows, found = self.rows_of(image_ids)
        mask[rows[found]] = True
        return mask


def folder_of(encoder: Encoder, dataset: Dataset) -> Path:
    """Where a mirror lies. Named by digest and the dataset's seed: another database cannot be mistaken for it."""
    name = f"{encoder.digest[:16]}-{encoder.precision}-{dataset.seed}-{encoder.pk}-{dataset.pk}"
    return Path(settings.HOME) / "cache" / "embeddings" / name


def load(
    encoder: Encoder, dataset: Dataset, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Mirror:
    """The mirror, brought up to date with the database. progress(done, total) is called per chunk."""
    folder = folder_of(encoder, dataset)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder):
        n, total = embedding_summary(encoder=encoder, dataset=dataset)
        count, last = _counted(folder, encoder.dim)
        if count > n:
            count, last = 0, 0
        _append(folder, encoder, dataset, count, last, n, progress)
        mirror = _open(folder, encoder.dim)
        if (len(mirror), int(mirror.ids.sum())) != (n, total):
            # Rows came or went behind what was copied. Build it again, from a count taken after that.
            _append(folder, encoder, dataset, 0, 0, n, progress)
            mirror = _open(folder, encoder.dim)
    return mirror


def forget(encoder: Encoder, dataset: Dataset) -> None:
    """Delete a mirror: it is made again when it is needed."""
    shutil.rmtree(folder_of(encoder, dataset), ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process writes a mirror at a time; the lock goes with the process."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _counted(folder: Path, dim: int) -> tuple[int, int]:
    """(rows that count, the last image id among them); (0, 0) when the files do not hold what is said."""
    try:
        facts = json.loads((folder / "mirror.json").read_text())
        count, last = int(facts["count"]), int(facts["last"])
        if facts["format"] != FORMAT or facts["dim"] != dim:
            return 0, 0
        for name, size in _row_sizes(dim).items():
            if (folder / name).stat().st_size < count * size:
                return 0, 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
    return count, last


def _row_sizes(dim: int) -> dict[str, int]:
    return {name: kind.itemsize * (dim if name == "vectors" else 1) for name, kind in _FILES.items()}


def _append(
    folder: Path,
    encoder: Encoder,
    dataset: Dataset,
    count: int,
    last: int,
    expected: int,
    progress: Callable[[int, int], None],
) -> None:
    """Copy the rows after image id `last` behind the first `count` rows, then say how many count now."""
    if count == 0:
        # New files rather than truncated ones: another process may have the old ones mapped.
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)
    sizes = _row_sizes(encoder.dim)
    files = {name: (folder / name).open("r+b" if (folder / name).exists() else "w+b") for name in _FILES}
    try:
        for name, file in files.items():
            file.seek(count * sizes[name])
        for ids, keys, vectors in read_embeddings(encoder=encoder, dataset=dataset, after=last):
            parts = {"ids": ids, "keys": keys, "vectors": vectors}
            for name, file in files.items():
                file.write(np.ascontiguousarray(parts[name], _FILES[name]).tobytes())
            count, last = count + len(ids), int(ids[-1])
            progress(count, max(expected, count))
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in files.values():
            file.close()
    draft = folder / "mirror.json.tmp"
    draft.write_text(json.dumps({"format": FORMAT, "dim": encoder.dim, "count": count, "last": last}))
    draft.replace(folder / "mirror.json")


def _open(folder: Path, dim: int) -> Mirror:
    count, _last = _counted(folder, dim)

    def mapped(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if count == 0:
            return np.empty(shape, _FILES[name])
        return np.memmap(folder / name, _FILES[name], "r", shape=shape)

    return Mirror(
        np.array(mapped("ids", (count,))), np.array(mapped("keys", (count,))), mapped("vectors", (count, dim))
    )
