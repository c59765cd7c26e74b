"""Storage on disk for the tables of metadata of one import: first their bytes, then their rows.

A table may have a million rows. Rows as Python objects would need a gigabyte. With this store, memory use
stays at a few megabytes.
"""

import contextlib
import io
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mekiki.datasets.importing.manifests.rows import ManifestRow, RowLabel
from mekiki.datasets.problems import ProblemError

MAX_ROWS = 1_000_000  # of all tables of an import together
MAX_BYTES = 256 * 1024 * 1024  # of all tables of an import together, unpacked
NO_MATCH = 99  # the rank of a row that matches no file
_MEMORY_KB = 16 * 1024
_BATCH = 1000
_FILTER_BITS = 1 << 24
_COLUMNS = "id, line, cell, vals, rank, files, first, conflict"
_SCHEMA = f"""
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; \
PRAGMA cache_size = -{_MEMORY_KB};
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, tab INTEGER, line INTEGER, cell TEXT, vals TEXT, key BLOB, ending BLOB,
    rank INTEGER DEFAULT {NO_MATCH}, files INTEGER DEFAULT 0, first BLOB DEFAULT '', \
conflict INTEGER DEFAULT 0,
    open INTEGER DEFAULT 1
);
CREATE INDEX by_key ON rows (tab, key);
CREATE INDEX by_ending ON rows (tab, ending) WHERE ending IS NOT NULL;
"""


@dataclass
class StoredRow:
    """A row of a table.

    `rank` is the closest kind of match so far, `files` the number of files that match, and `first` the first
    of them.
    """

    id: int
    line: int
    cell: str
    text: str  # its values and labels as JSON
    rank: int
    files: int
    first: bytes
    conflict: bool

    @property
    def values(self) -> dict[str, str]:
        """Return column → text."""
        columns: dict[str, str] = json.loads(self.text)[0]
        return columns

    @property
    def labels(self) -> tuple[RowLabel, ...]:
        """Return the labels of the row."""
        return tuple(RowLabel(*label) for label in json.loads(self.text)[1])


class TableStore:
    """Bytes and rows of tables, in two unlinked files that vanish with this object or the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._raw: BinaryIO | None = None
        self._bytes = self._rows = self._tables = 0
        self._connection: sqlite3.Connection | None = None
        self._waiting: list[tuple[object, ...]] = []
        # Most names of a large import are in no table. One bit for each key avoids the query.
        self._filter = bytearray(0)

    def close(self) -> None:
        """Close both files, which frees the disk space."""
        if self._raw is not None:
            self._raw.close()
        if self._connection is not None:
            self._connection.close()
        self._raw = self._connection = None

    def keep(self, pieces: Iterable[bytes]) -> tuple[int, int]:
        """Store the bytes of a table and return their place (offset, size).

        Raises ProblemError metadata_too_much if all tables together exceed MAX_BYTES, and what `pieces`
        raises.
        """
        if self._raw is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._raw = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        start = at = self._raw.seek(self._bytes)
        for piece in pieces:
            at += len(piece)
            if at > MAX_BYTES:
                raise ProblemError("metadata_too_much", limit=MAX_BYTES)
            self._raw.write(piece)
        self._bytes = at
        return start, at - start

    def open(self, place: tuple[int, int]) -> BinaryIO:
        """Return a reader at the beginning of a table's bytes."""
        assert self._raw is not None
        self._raw.flush()
        return io.BufferedReader(_Part(self._raw.fileno(), *place), 1 << 16)

    def new_table(self) -> int:
        """Return the number of a new table."""
        self._tables += 1
        return self._tables

    def add(self, table: int, row: ManifestRow, keys: tuple[str, str]) -> bool:
        """Store a row. `keys`: see metadata.row_keys.

        Returns False if the tables of this import have MAX_ROWS rows already.
        """
        if self._rows >= MAX_ROWS:
            return False
        self._rows += 1
        key, ending = map(_blob, keys)
        self._mark(table, key)
        if ending:
            self._mark(table, ending)
        labels = [(label.text, label.author, label.predicted) for label in row.labels]
        text = json.dumps([row.values, labels], ensure_ascii=True, separators=(",", ":"))
        self._waiting.append((table, row.line, row.location, text, key, ending or None))
        if len(self._waiting) >= _BATCH:
            self._flush()
        return True

    def drop(self, table: int) -> None:
        """Delete the rows of a table that could not be read to its end."""
        dropped = self._db.execute("DELETE FROM rows WHERE tab = ?", (table,)).rowcount
        self._rows -= dropped

    def by_key(self, table: int, key: str, most: int) -> list[StoredRow]:
        """Return open rows with this key, in the order of the table."""
        return self._find(table, "key", key, most)

    def by_ending(self, table: int, ending: str, most: int) -> list[StoredRow]:
        """Return open rows with a path that ends with this name."""
        return self._find(table, "ending", ending, most)

    def _find(self, table: int, column: str, key: str, most: int) -> list[StoredRow]:
        blob = _blob(key)
        if not self._is_marked(table, blob):
            return []
        cursor = self._db.execute(
            f"SELECT {_COLUMNS} FROM rows WHERE tab = ? AND {column} = ? AND open"  # noqa: S608
            " ORDER BY id LIMIT ?",
            (table, blob, most),
        )
        return [_row(values) for values in cursor]

    def save(self, row: StoredRow) -> None:
        """Store the match of a row."""
        self._db.execute(
            "UPDATE rows SET rank = ?, files = ?, first = ?, conflict = ? WHERE id = ?",
            (row.rank, row.files, row.first, row.conflict, row.id),
        )

    def close_matched(self, table: int) -> bool:
        """Exclude matched rows from later searches. Return whether any row is still open."""
        self._db.execute("UPDATE rows SET open = 0 WHERE tab = ? AND files > 0", (table,))
        return (
            self._db.execute("SELECT 1 FROM rows WHERE tab = ? AND open LIMIT 1", (table,)).fetchone()
            is not None
        )

    def unmatched(self, table: int, length: int) -> Iterator[list[StoredRow]]:
        """Yield unmatched rows with a cell of this length, a few hundred at a time."""
        after = 0
        while True:
            cursor = self._db.execute(
                f"SELECT {_COLUMNS} FROM rows WHERE tab = ? AND id > ?"  # noqa: S608
                " AND files = 0 AND length(cell) = ? ORDER BY id LIMIT 500",
                (table, after, length),
            )
            rows = [_row(values) for values in cursor]
            if not rows:
                return
            after = rows[-1].id
            yield rows

    def lost(self, table: int) -> Iterator[StoredRow]:
        """Yield the rows that were not used.

        These rows match no file or more than one, or they contradict another row.
        """
        cursor = self._db.execute(
            f"SELECT {_COLUMNS} FROM rows WHERE tab = ? AND (files <> 1 OR conflict)"  # noqa: S608
            " ORDER BY id",
            (table,),
        )
        return map(_row, cursor)

    def count(self, table: int) -> int:
        """Return how many rows a table has."""
        return int(self._db.execute("SELECT count(*) FROM rows WHERE tab = ?", (table,)).fetchone()[0])

    @property
    def _db(self) -> sqlite3.Connection:
        """Return the connection to the database of rows, after all waiting rows are inserted."""
        if self._connection is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, path = tempfile.mkstemp(dir=self._folder, prefix="tables-")
            os.close(handle)
            try:
                self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                self._connection.executescript(_SCHEMA)
                self._connection.execute("BEGIN")
            finally:
                # The open file has no name, so nothing is left of it after a kill.
                with contextlib.suppress(OSError):
                    Path(path).unlink()
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            self._connection.executemany(
                "INSERT INTO rows (tab, line, cell, vals, key, ending) VALUES (?, ?, ?, ?, ?, ?)", waiting
            )
        return self._connection

    def _flush(self) -> None:
        _ = self._db

    def _mark(self, table: int, key: bytes) -> None:
        if not self._filter:
            self._filter = bytearray(_FILTER_BITS // 8)
        at, bit = divmod(hash((table, key)) % _FILTER_BITS, 8)
        self._filter[at] |= 1 << bit

    def _is_marked(self, table: int, key: bytes) -> bool:
        if not self._filter:
            return False
        at, bit = divmod(hash((table, key)) % _FILTER_BITS, 8)
        return bool(self._filter[at] >> bit & 1)


def _blob(text: str) -> bytes:
    """Return a name as bytes.

    Names from a disk may hold bytes that no encoding reads, as lone surrogates.
    """
    return text.encode("utf-8", "surrogatepass")


def _row(values: tuple[int, int, str, str, int, int, bytes, int]) -> StoredRow:
    number, line, cell, text, rank, files, first, conflict = values
    return StoredRow(number, line, cell, text, rank, files, first, bool(conflict))


class _Part(io.RawIOBase):
    """A part of a file, read from its beginning. The position of the file itself is not used."""

    def __init__(self, handle: int, start: int, size: int) -> None:
        self._handle, self._at, self._end = handle, start, start + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = os.pread(self._handle, min(len(buffer), self._end - self._at), self._at)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
