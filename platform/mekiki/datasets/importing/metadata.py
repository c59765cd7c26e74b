"""Match rows of metadata.csv and of other manifests to files: by the same name, or by a clear variant of it.

A row and a file match if one path ends like the other (full paths, Windows paths), with or without
differences in case, full-width characters and extension. The closest kind of match is used. A row that
matches two files, or two different rows for one file, are reported and not used.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote, urlsplit

from mekiki.datasets.importing import names, tables
from mekiki.datasets.importing.manifests import choosing
from mekiki.datasets.importing.manifests.rows import (
    NO_LABELS,
    BadRow,
    ManifestRow,
    ReadOptions,
    RowLabel,
)
from mekiki.datasets.importing.report import MAX_LINES_OF_A_KIND
from mekiki.datasets.importing.table_store import MAX_ROWS, NO_MATCH, StoredRow, TableStore
from mekiki.datasets.problems import ProblemError, ReportLine

FILE_NAME = "metadata.csv"
# Names of manifests that lie beside images. Other JSON files are not read: a folder may have one an image.
_TABLES = re.compile(
    r"(metadata|manifest)\.(csv|tsv|jsonl|ndjson|parquet)|manifest\.json|labels\.json|.*annotations.*\.json"
    r"|instances_.*\.json|project-\d+-at-.*\.json|.*label[-_ ]?studio.*\.json"
)
Line = ProblemError | ReportLine
# Kinds of a match, the closest first. One is added if only the ends of the paths are alike.
_EXACT, _FOLDED, _STEM = 0, 2, 4
_EXTENSIONS = {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff", "gif", "apng"}
# Maximum number of rows that are compared with a file. In a pathological table, further rows are reported as
# unmatched.
_MAX_CANDIDATES = 64

Parts = tuple[str, ...]


def is_table(name: str) -> bool:
    """Return whether this file is a table of metadata, by its name."""
    return _TABLES.fullmatch(fold_text(name.replace("\\", "/").rsplit("/", 1)[-1])) is not None


def fold_text(text: str) -> str:
    """Return the text without differences of case, width and composition."""
    return unicodedata.normalize("NFKC", text).casefold()


def parts_of(name: str) -> Parts:
    """Return a path as its parts: composed characters, either slash, no ".", no "..", no empty part."""
    flat = unicodedata.normalize("NFC", name.strip().replace("\\", "/"))
    return tuple(part for part in flat.split("/") if part not in {"", ".", ".."})


def path_of(location: str) -> str:
    """Return a path by which a row of a table names a file: the path itself, or the path of an address."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", location):
        try:
            return unquote(urlsplit(location).path)
        except ValueError:
            return location
    return location


def _is_csv(label: str) -> bool:
    return label.lower().endswith((".csv", ".tsv"))


def _folded(parts: Parts) -> Parts:
    return tuple(map(fold_text, parts))


def row_keys(cell: str) -> tuple[str, str]:
    """Return the keys of a row: (name, ""), or (last two parts of a path, last part)."""
    folded = _folded(parts_of(cell))
    if len(folded) > 1:
        return _path_key(folded[-2], folded[-1]), folded[-1]
    return folded[-1] if folded else "", ""


def _path_key(folder: str, name: str) -> str:
    return f"{folder}/{name}"  # a name has no slash


def _has_extension(folded: Parts) -> bool:
    return folded[-1].rpartition(".")[2] in _EXTENSIONS and "." in folded[-1]


def _ends_alike(a: Parts, b: Parts) -> bool:
    shorter = min(len(a), len(b))
    return a[-shorter:] == b[-shorter:]


class MetadataTable:
    """One table, for the files beside and below it."""

    def __init__(self, store: TableStore, folder: Parts, label: str) -> None:
        self._store, self._number = store, store.new_table()
        self.folder, self.label = folder, label
        # (what follows the name of the table in the report, line)
        self.notes: list[tuple[str, Line]] = []

    def read(self, place: tuple[int, int], encoding: str | None, options: ReadOptions) -> None:
        """Read the rows from this place of the store.

        Raises ProblemError metadata_invalid or manifest_invalid. The rows before the problem are then lost.
        """
        try:
            if _is_csv(self.label):
                notes = tables.parse(lambda: self._store.open(place), encoding, self._take, options)
                self.notes = [("", note) for note in notes]
            else:
                manifest = choosing.choose(lambda: self._store.open(place), self.label)
                self._read_manifest(manifest.rows(options))
        except ProblemError:
            self._store.drop(self._number)
            raise

    def _take(self, row: ManifestRow) -> bool:
        return self._store.add(self._number, row, row_keys(path_of(row.location)))

    def _read_manifest(self, rows: Iterable[ManifestRow | BadRow]) -> None:
        listed: Counter[str] = Counter()
        too_many, first = 0, 0
        for row in rows:
            if isinstance(row, ManifestRow):
                if too_many or not self._take(row):
                    too_many, first = too_many + 1, first or row.line
                continue
            listed[row.problem.code] += 1
            if listed[row.problem.code] <= MAX_LINES_OF_A_KIND:
                self.notes.append((f" ({row.line})" if row.line else "", row.problem))
        for code, count in listed.items():
            if count > MAX_LINES_OF_A_KIND:
                listed_detail = {"count": count, "limit": MAX_LINES_OF_A_KIND}
                self.notes.append((f" {code}", ReportLine("more_not_listed", "noted", listed_detail)))
        if too_many:
            detail: dict[str, object] = {"count": too_many, "rows": f"{first} …", "limit": MAX_ROWS}
            self.notes.append(("", ReportLine("metadata_too_many_rows", "partly", detail)))

    def best(self, path: Parts) -> tuple[int, list[StoredRow]]:
        """Return (kind of match, rows) for a file, with only the closest kind."""
        if path[: len(self.folder)] == self.folder:
            path = path[len(self.folder) :]
        folded = _folded(path)
        closest_rows, rows = NO_MATCH, []
        for row, stem in self._candidates(folded):
            rank = self._rank(row, path, folded, stem=stem)
            if rank < closest_rows:
                closest_rows, rows = rank, [row]
            elif rank == closest_rows != NO_MATCH:
                rows.append(row)
        return closest_rows, rows

    def _candidates(self, folded: Parts) -> Iterator[tuple[StoredRow, bool]]:
        """Yield (row that may match, whether it is compared without the extension)."""
        bare = folded[-1]
        stem = bare.rpartition(".")[0] if _has_extension(folded) else ""
        store, number = self._store, self._number
        for key in (bare, stem) if stem else (bare,):
            is_stem = key is stem
            rows = store.by_key(number, key, _MAX_CANDIDATES)
            if len(folded) > 1:
                rows += store.by_key(number, _path_key(folded[-2], key), _MAX_CANDIDATES)
            else:
                rows += store.by_ending(number, key, _MAX_CANDIDATES)
            for row in rows:
                yield row, is_stem

    @staticmethod
    def _rank(row: StoredRow, path: Parts, folded: Parts, *, stem: bool) -> int:
        parts = parts_of(path_of(row.cell))
        row_folded = _folded(parts)
        if stem:
            if _has_extension(row_folded):
                return NO_MATCH
            folded = (*folded[:-1], folded[-1].rpartition(".")[0])
            if row_folded == folded:
                return _STEM
            return _STEM + 1 if _ends_alike(row_folded, folded) else NO_MATCH
        for kind, mine, theirs in ((_EXACT, parts, path), (_FOLDED, row_folded, folded)):
            if mine == theirs:
                return kind
            if _ends_alike(mine, theirs):
                return kind + 1
        return NO_MATCH

    def claim(self, path: Parts, identity: str) -> bool:
        """Record that a file exists. Return whether a row may belong to it."""
        rank, rows = self.best(path)
        one = identity.encode("utf-8", "surrogatepass")
        for row in rows:
            if rank < row.rank:
                row.rank, row.files, row.first = rank, 1, one
            elif rank == row.rank and one != row.first:
                row.files += 1
            else:
                continue
            self._store.save(row)
        return bool(rows)

    def row(self, path: Parts) -> StoredRow | None:
        """Return the row for a file, or None if no row matches unambiguously.

        All files must have been claimed before.
        """
        rank, rows = self.best(path)
        sure = [row for row in rows if row.rank == rank and row.files == 1]
        if not sure:
            return None
        if any((row.values, row.labels) != (sure[0].values, sure[0].labels) for row in sure):
            for row in sure:
                row.conflict = True
                self._store.save(row)
            return None
        return sure[0]

    def unmatched(self, length: int) -> Iterator[list[StoredRow]]:
        """Yield, some at a time, the rows without a matching file and with a cell of this length."""
        return self._store.unmatched(self._number, length)

    def mark_used(self, row: StoredRow) -> None:
        """Record that a row was used."""
        row.rank, row.files = _EXACT, 1
        self._store.save(row)

    def only_unmatched(self) -> bool:
        """Exclude matched rows from later claims. Return whether any row is left."""
        return self._store.close_matched(self._number)

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Yield the report lines about the table and its rows."""
        for after, note in self.notes:
            yield self.label + after, note
        lost = 0
        for row in self._store.lost(self._number):
            if row.files == 0:
                code = "metadata_row_unmatched"
            elif row.files > 1:
                code = "metadata_row_ambiguous"
            else:
                code = "metadata_row_conflict"
            lost += 1
            cell = names.escape_unprintable(row.cell)[: names.MAX_NAME]
            detail = {"row": row.line, "cell": cell, "count": row.files}
            yield f"{self.label} ({row.line}): {cell}", ReportLine(code, "partly", detail)
        if lost:
            total = self._store.count(self._number)
            yield self.label, ReportLine("metadata_rows_unused", "partly", {"count": lost, "total": total})


@dataclass(frozen=True)
class OfFile:
    """What the tables state about a file, and the report lines about it."""

    values: dict[str, str]
    labels: tuple[RowLabel, ...]
    notes: list[ReportLine]


class Tables:
    """All tables of one upload, folder or archive. A table is for the files beside and below it."""

    def __init__(self, store: TableStore, options: ReadOptions = NO_LABELS) -> None:
        self._store = store
        self._options = options
        self._not_read: list[tuple[Parts, str, tuple[int, int]]] = []
        self._tables: dict[Parts, list[MetadataTable]] = {}
        self.refused: list[tuple[str, Line]] = []

    def __bool__(self) -> bool:
        return bool(self._tables or self.refused)

    def add(self, name: str, label: str, pieces: Iterable[bytes]) -> None:
        """Add the table at path `name`, which the report calls `label`.

        Raises the same errors as TableStore.keep.
        """
        self._not_read.append((parts_of(name)[:-1], label, self._store.keep(pieces)))

    def parse(self) -> None:
        """Read all tables. Tables that state no encoding are read in one common encoding."""
        places = [place for _folder, label, place in self._not_read if _is_csv(label)]
        encoding = tables.choose_encoding(partial(self._store.open, place) for place in places)
        for folder, label, place in self._not_read:
            table = MetadataTable(self._store, folder, label)
            try:
                table.read(place, encoding, self._options)
            except ProblemError as problem:
                self.refused.append((label, ReportLine("metadata_invalid", "partly", problem.detail)))
                continue
            self._tables.setdefault(folder, []).append(table)
            if len(self._tables[folder]) == 2:
                table.notes.append(("", ReportLine("metadata_second_table", "noted")))
        self._not_read.clear()

    def all(self) -> Iterator[MetadataTable]:
        """Yield every table that could be read."""
        for beside in self._tables.values():
            yield from beside

    def _above(self, path: Parts) -> Iterator[list[MetadataTable]]:
        """Yield the tables that may have a row for a file, the nearest first."""
        for depth in range(len(path) - 1, -1, -1):
            if path[:depth] in self._tables:
                yield self._tables[path[:depth]]

    def claim(self, name: str) -> None:
        """Record that a file of this name exists."""
        if path := parts_of(name):
            for beside in self._above(path):
                # All tables of one level are asked, because each may have a row for the file.
                claimed = [table.claim(path, name) for table in beside]
                if any(claimed):
                    return

    def of(self, name: str) -> "OfFile":
        """Return what the nearest table states about a file."""
        path = parts_of(name)
        merged: dict[str, str] = {}
        labels: tuple[RowLabel, ...] = ()
        notes = []
        for beside in self._above(path) if path else ():
            for row in filter(None, [table.row(path) for table in beside]):
                values = row.values
                if differing := sorted(k for k, v in values.items() if merged.get(k, v) != v):
                    detail = {"columns": ", ".join(differing[:5])}
                    notes.append(ReportLine("metadata_tables_differ", "partly", detail))
                merged = values | merged
                labels += tuple(label for label in row.labels if label not in labels)
            if merged or labels:
                break
        return OfFile(merged, labels, notes)

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Yield the report lines about all tables."""
        yield from self.refused
        for table in self.all():
            yield from table.lines()
