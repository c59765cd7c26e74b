"""Files of a mirror: three raw little-endian arrays, one row per image, and a JSON about them.

`ids` (int64), `keys` (float64) and `vectors` (float16, d per row) are appended to or replaced as a whole, so
a process that has mapped them keeps its data. `mirror.json` is replaced atomically at the end. It contains
the number of valid rows, the tokens of the applied database changes, and the CRC-32 of each file (of
`vectors` in blocks). Files that a crash left incomplete do not match it.

The checksums are verified if the times, sizes or inodes of the files differ from the last check, after each
boot of the machine, and once a day. This detects a changed byte and a truncated, swapped or half-written
file. It does not detect what a disk or memory alters between two checks without a new file time.
"""

import base64
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
from numpy.typing import NDArray

FORMAT = 2
BLOCK = 8192  # rows of vectors per checksum
CHECK_AGAIN = 24 * 3600.0  # seconds
FILES: dict[str, np.dtype[Any]] = {
    "ids": np.dtype("<i8"),
    "keys": np.dtype("<f8"),
    "vectors": np.dtype("<f2"),
}
Rows = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]  # ids (m,), keys (m,), vectors (m, d)
Read = Callable[[int, int], Iterable[Rows]]  # (first id, last id, both inclusive) → rows in ascending order


@dataclass(frozen=True)
class Held:
    """State of the files: number of valid rows, applied changes, and checksums of the bytes."""

    count: int = 0
    tokens: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    ids_sum: int = 0
    keys_sum: int = 0
    blocks: tuple[int, ...] = ()


def row_sizes(dim: int) -> dict[str, int]:
    """Return the bytes of one row in each file."""
    return {name: kind.itemsize * (dim if name == "vectors" else 1) for name, kind in FILES.items()}


def mapped(folder: Path, name: str, count: int, dim: int = 0) -> NDArray[Any]:
    """Return the first `count` rows of a file, (count,) or (count, dim), memory-mapped."""
    shape = (count, dim) if name == "vectors" else (count,)
    if count == 0:
        return np.empty(shape, FILES[name])
    return np.memmap(folder / name, FILES[name], "r", shape=shape)


def trusted(folder: Path, dim: int) -> Held | None:
    """Return the state of the files if they match mirror.json; None if they are missing or damaged."""
    try:
        facts = json.loads((folder / "mirror.json").read_text())
        if (facts["format"], facts["dim"]) != (FORMAT, dim):
            return None
        held = Held(
            int(facts["count"]),
            np.frombuffer(base64.b64decode(facts["tokens"]), "<u8").astype(np.uint64),
            int(facts["ids"]),
            int(facts["keys"]),
            tuple(int(value) for value in facts["blocks"]),
        )
        if len(held.blocks) != -(-held.count // BLOCK):
            return None
        fresh = 0 <= time.time() - float(facts["checked"]) < CHECK_AGAIN
        if fresh and facts["seen"] == _seen(folder):
            return held
        if not _agrees(folder, dim, held):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    keep(folder, dim, held)
    return held


def keep(folder: Path, dim: int, held: Held) -> None:
    """Store the state as the valid one."""
    facts = {
        "format": FORMAT,
        "dim": dim,
        "count": held.count,
        "tokens": base64.b64encode(held.tokens.astype("<u8").tobytes()).decode(),
        "ids": held.ids_sum,
        "keys": held.keys_sum,
        "blocks": held.blocks,
        "checked": time.time(),
        "seen": _seen(folder),
    }
    draft = folder / "mirror.json.tmp"
    draft.write_text(json.dumps(facts))
    draft.replace(folder / "mirror.json")


def take_up(folder: Path, dim: int, held: Held, ranges: list[tuple[int, int]], read: Read) -> Held:
    """Update the rows in these ranges of ids (ascending, disjoint, both ends inclusive).

    New rows after the last one are appended. For other ranges the files are written again, and unchanged rows
    are copied from the old files. The result has no tokens: call `keep` with the tokens afterwards.
    """
    ids = np.asarray(mapped(folder, "ids", held.count))
    spans = _spans(ids, ranges)
    if len(spans) == 1 and spans[0][0] == held.count:
        with _Writer(folder, dim, held, in_place=held.count > 0) as writer:
            for rows in read(spans[0][2], spans[0][3]):
                writer.write(*rows)
        return writer.held
    keys, vectors = mapped(folder, "keys", held.count), mapped(folder, "vectors", held.count, dim)
    at = 0
    with _Writer(folder, dim, Held(), in_place=False) as writer:
        for start, stop, first, last in [*spans, (held.count, held.count, 0, -1)]:
            for begin in range(at, start, BLOCK):
                end = min(begin + BLOCK, start)
                writer.write(ids[begin:end], keys[begin:end], vectors[begin:end])
            if first <= last:
                for rows in read(first, last):
                    writer.write(*rows)
            at = stop
    return writer.held


def _spans(ids: NDArray[np.int64], ranges: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """Return (first row, row after the last, first id, last id) of each range.

    Ranges without a row between them are merged.
    """
    spans: list[tuple[int, int, int, int]] = []
    for first, last in ranges:
        start, stop = int(np.searchsorted(ids, first)), int(np.searchsorted(ids, last, "right"))
        if spans and spans[-1][1] == start:
            begun, _stop, low, _last = spans[-1]
            spans[-1] = (begun, stop, low, last)
        else:
            spans.append((start, stop, first, last))
    return spans


class _Writer:
    """Writer that appends rows to the files, or writes new files.

    New files replace the old ones on exit without an error.
    """

    def __init__(self, folder: Path, dim: int, held: Held, *, in_place: bool) -> None:
        self.held = replace(held, tokens=np.empty(0, np.uint64))
        self._folder = folder
        self._sizes = row_sizes(dim)
        self._in_place = in_place
        self._files: dict[str, BinaryIO] = {}
        self._blocks = list(held.blocks)

    def __enter__(self) -> "_Writer":
        for name, size in self._sizes.items():
            file: BinaryIO
            if self._in_place:
                file = (self._folder / name).open("r+b")
                file.truncate(self.held.count * size)  # remove what a crash left behind
                file.seek(0, os.SEEK_END)
            else:
                file = (self._folder / f"{name}.new").open("wb")
            self._files[name] = file
        return self

    def write(self, ids: NDArray[Any], keys: NDArray[Any], vectors: NDArray[Any]) -> None:
        """Append rows (m,), (m,) and (m, d)."""
        held, at = self.held, 0
        parts = {"ids": ids, "keys": keys, "vectors": vectors}
        data = {
            name: np.ascontiguousarray(part, FILES[name]).reshape(-1).view(np.uint8).data
            for name, part in parts.items()
        }
        for name, file in self._files.items():
            file.write(data[name])
        while at < len(ids):
            if (held.count + at) % BLOCK == 0:
                self._blocks.append(0)
            end = min(len(ids), at + BLOCK - (held.count + at) % BLOCK)
            size = self._sizes["vectors"]
            self._blocks[-1] = zlib.crc32(data["vectors"][at * size : end * size], self._blocks[-1])
            at = end
        self.held = replace(
            held,
            count=held.count + len(ids),
            ids_sum=zlib.crc32(data["ids"], held.ids_sum),
            keys_sum=zlib.crc32(data["keys"], held.keys_sum),
        )

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        try:
            with ExitStack() as files:  # closes every file, also after one that cannot be closed
                for file in self._files.values():
                    files.callback(file.close)  # this writes the buffer and raises on a full disk
        except OSError:
            self._throw_away()
            raise
        self.held = replace(self.held, blocks=tuple(self._blocks))
        if kind is not None:
            self._throw_away()
        elif not self._in_place:
            for name in self._files:
                (self._folder / f"{name}.new").replace(self._folder / name)

    def _throw_away(self) -> None:
        if not self._in_place:
            for name in self._files:
                (self._folder / f"{name}.new").unlink(missing_ok=True)


def _seen(folder: Path) -> list[Any]:
    """Return marks that change when a file is written and when the machine boots."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = str(round(psutil.boot_time(), -2))
    marks: list[Any] = [boot]
    for name in FILES:
        facts = (folder / name).stat()
        marks += [facts.st_ino, facts.st_size, facts.st_mtime_ns]
    return marks


def _agrees(folder: Path, dim: int, held: Held) -> bool:
    """Return whether the bytes match the checksums. Raises ValueError or OSError if a file is missing."""
    sums = {"ids": [held.ids_sum], "keys": [held.keys_sum], "vectors": list(held.blocks)}
    for name, size in row_sizes(dim).items():
        step = BLOCK if name == "vectors" else max(1, held.count)
        with (folder / name).open("rb") as file:
            for begin, expected in zip(range(0, held.count, step), sums[name], strict=False):
                wanted = (min(held.count, begin + step) - begin) * size
                data = file.read(wanted)
                if len(data) != wanted or zlib.crc32(data) != expected:
                    return False
    return True
