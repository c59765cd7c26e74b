"""Which row of a metadata.csv belongs to which file: the same name, or an unambiguous variant of it.

A row and a file belong together when one path ends like the other (full paths, Windows paths), with or without
case, full-width characters and the extension. The closest kind of match counts; a row that fits two files, or two
different rows for one file, are listed in the report and not guessed.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

from mekiki.datasets.importing import names, tables
from mekiki.datasets.problems import Note, ProblemError

FILE_NAME = "metadata.csv"
Line = ProblemError | Note
# Kinds of a match, the closest first; one more where only the ends of the paths are alike.
_EXACT, _FOLDED, _STEM = 0, 2, 4
_NONE = 99
_EXTENSIONS = {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff", "gif", "apng"}
# Rows of one file name weighed for a file: in a pathological table the others are listed as unmatched.
_MAX_CANDIDATES = 64

Parts = tuple[str, ...]


def is_table(name: str) -> bool:
    """Is this file a table of metadata, by its name?"""
    return fold(name.replace("\\", "/").rsplit("/", 1)[-1]) == FILE_NAME


def fold(text: str) -> str:
    """The text without differences of case, of width and of composition."""
    return unicodedata.normalize("NFKC", text).casefold()


def parts_of(name: str) -> Parts:
    """A path as its parts: composed characters, either slash, no ".", no "..", no empty part."""
    flat = unicodedata.normalize("NFC", name.strip().replace("\\", "/"))
    return tuple(part for part in flat.split("/") if part not in {"", ".", ".."})


class _Row:
    """A row on its way to a file."""

    __slots__ = ("cell", "conflict", "files", "first", "folded", "line", "parts", "rank", "values")

    def __init__(self, row: tables.Row) -> None:
        self.line, self.cell, self.values = row.line, row.cell, row.values
        self.parts = parts_of(row.cell)
        self.folded = tuple(map(fold, self.parts))
        self.conflict = False
        # The closest kind of match so far, how many files it fits, the first of them.
        self.rank, self.files, self.first = _NONE, 0, ""


def _has_extension(folded: Parts) -> bool:
    return folded[-1].rpartition(".")[2] in _EXTENSIONS and "." in folded[-1]


def _ends_alike(a: Parts, b: Parts) -> bool:
    shorter = min(len(a), len(b))
    return a[-shorter:] == b[-shorter:]


class MetadataTable:
    """One table, for the files beside and below it."""

    def __init__(self, folder: Parts, label: str, rows: list[_Row], notes: Iterable[Note] = ()) -> None:
        self.folder, self.label = folder, label
        self.notes = list(notes)
        self.rows = rows
        # By the last part of a row that is only a name; by the last two parts, or the last, of a path.
        self._names: dict[str, list[_Row]] = defaultdict(list)
        self._paths: dict[Parts, list[_Row]] = defaultdict(list)
        self._ends: dict[str, list[_Row]] = defaultdict(list)
        for row in rows:
            if not row.parts:
                continue
            if len(row.folded) == 1:
                self._names[row.folded[-1]].append(row)
            else:
                self._paths[row.folded[-2:]].append(row)
                if len(self._ends[row.folded[-1]]) < _MAX_CANDIDATES:
                    self._ends[row.folded[-1]].append(row)

    def best(self, path: Parts) -> tuple[int, list[_Row]]:
        """(kind of match, rows) for a file; the closest kind only."""
        if path[: len(self.folder)] == self.folder:
            path = path[len(self.folder) :]
        folded = tuple(map(fold, path))
        best, rows = _NONE, []
        for row, stem in self._candidates(folded):
            rank = self._rank(row, path, folded, stem=stem)
            if rank < best:
                best, rows = rank, [row]
            elif rank == best != _NONE:
                rows.append(row)
        return best, rows

    def _candidates(self, folded: Parts) -> Iterator[tuple[_Row, bool]]:
        bare = folded[-1]
        stem = bare.rpartition(".")[0] if _has_extension(folded) else ""
        for key in (bare, stem) if stem else (bare,):
            is_stem = key is stem
            for row in self._names.get(key, ()):
                yield row, is_stem
            if len(folded) > 1:
                found = self._paths.get((folded[-2], key), [])
            else:
                found = self._ends.get(key, [])
            for row in found[:_MAX_CANDIDATES]:
                yield row, is_stem

    @staticmethod
    def _rank(row: _Row, path: Parts, folded: Parts, *, stem: bool) -> int:
        if stem:
            if _has_extension(row.folded):
                return _NONE
            folded = (*folded[:-1], folded[-1].rpartition(".")[0])
            if row.folded == folded:
                return _STEM
            return _STEM + 1 if _ends_alike(row.folded, folded) else _NONE
        for kind, mine, theirs in ((_EXACT, row.parts, path), (_FOLDED, row.folded, folded)):
            if mine == theirs:
                return kind
            if _ends_alike(mine, theirs):
                return kind + 1
        return _NONE

    def claim(self, path: Parts, identity: str) -> bool:
        """Note that a file exists. Returns whether a row could be for it."""
        rank, rows = self.best(path)
        for row in rows:
            if rank < row.rank:
                row.rank, row.files, row.first = rank, 1, identity
            elif rank == row.rank and identity != row.first:
                row.files += 1
        return bool(rows)

    def row(self, path: Parts) -> _Row | None:
        """The row for a file, once every file has been claimed; None: no row, or none that is sure."""
        rank, rows = self.best(path)
        sure = [row for row in rows if row.rank == rank and row.files == 1]
        if not sure:
            return None
        if any(row.values != sure[0].values for row in sure):
            for row in sure:
                row.conflict = True
            return None
        return sure[0]

    def unmatched(self) -> list[_Row]:
        """Rows that no file of this import was a match for."""
        return [row for row in self.rows if row.rank == _NONE]

    def of_rows(self, rows: list[_Row]) -> "MetadataTable":
        """A table of some of the rows, which the two share."""
        return MetadataTable(self.folder, self.label, rows)

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Lines of the report about the table and its rows."""
        for note in self.notes:
            yield self.label, note
        lost = 0
        for row in self.rows:
            if row.rank == _NONE:
                code = "metadata_row_unmatched"
            elif row.files > 1:
                code = "metadata_row_ambiguous"
            elif row.conflict:
                code = "metadata_row_conflict"
            else:
                continue
            lost += 1
            cell = names.escaped(row.cell)[: names.MAX_NAME]
            detail = {"row": row.line, "cell": cell, "count": row.files}
            yield f"{self.label} ({row.line}): {cell}", Note(code, "partly", detail)
        if lost:
            yield self.label, Note("metadata_rows_unused", "partly", {"count": lost, "total": len(self.rows)})


class Tables:
    """All tables of one upload, folder or archive, each for the files beside and below it."""

    def __init__(self) -> None:
        self._raw: list[tuple[Parts, str, bytes]] = []
        self._tables: dict[Parts, list[MetadataTable]] = {}
        self.refused: list[tuple[str, Line]] = []

    def __bool__(self) -> bool:
        return bool(self._tables or self.refused)

    def add(self, name: str, label: str, data: bytes) -> None:
        """Take a table found under `name`, called `label` in the report."""
        self._raw.append((parts_of(name)[:-1], label, data))

    def parse(self) -> None:
        """Read all tables, in one encoding where they state none."""
        encoding = tables.choose_encoding([data for _, _, data in self._raw])
        for folder, label, data in self._raw:
            try:
                parsed = tables.parse(data, encoding)
            except ProblemError as problem:
                note = Note("metadata_invalid", "partly", problem.detail)
                self.refused.append((label, note))
                continue
            table = MetadataTable(folder, label, [_Row(row) for row in parsed.rows], parsed.notes)
            self._tables.setdefault(folder, []).append(table)
            if len(self._tables[folder]) == 2:
                table.notes.append(Note("metadata_second_table", "noted"))
        self._raw.clear()

    def all(self) -> Iterator[MetadataTable]:
        """Every table that could be read."""
        for beside in self._tables.values():
            yield from beside

    def _above(self, path: Parts) -> Iterator[list[MetadataTable]]:
        """Tables that may speak of a file, the nearest first."""
        for depth in range(len(path) - 1, -1, -1):
            if path[:depth] in self._tables:
                yield self._tables[path[:depth]]

    def claim(self, name: str) -> None:
        """Note that a file of this name exists."""
        if path := parts_of(name):
            for beside in self._above(path):
                # All of one level first: each may hold a row for it.
                claimed = [table.claim(path, name) for table in beside]
                if any(claimed):
                    return

    def of(self, name: str) -> tuple[dict[str, str], list[Note]]:
        """(what the nearest table says of a file, lines of the report about it)."""
        path = parts_of(name)
        merged: dict[str, str] = {}
        notes = []
        for beside in self._above(path) if path else ():
            for row in filter(None, [table.row(path) for table in beside]):
                values = row.values
                if differing := sorted(k for k, v in values.items() if merged.get(k, v) != v):
                    detail = {"columns": ", ".join(differing[:5])}
                    notes.append(Note("metadata_tables_differ", "partly", detail))
                merged = values | merged
            if merged:
                break
        return merged, notes

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Lines of the report about all tables."""
        yield from self.refused
        for table in self.all():
            yield from table.lines()
