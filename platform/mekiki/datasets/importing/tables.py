"""Reader for metadata.csv. Everything that cannot be kept is reported."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from mekiki.datasets.importing import encodings
from mekiki.datasets.importing.manifests.rows import (
    EXAMPLES,
    FILE_COLUMNS,
    MAX_KEYS,
    MAX_ROW,
    MAX_TEXT,
    NO_LABELS,
    Line,
    ManifestRow,
    Open,
    ReadOptions,
    clean,
    fold_name,
    label_column_of,
    labels_of,
)
from mekiki.datasets.importing.table_store import MAX_ROWS
from mekiki.datasets.problems import ProblemError, ReportLine

MAX_COLUMNS = 10_000  # of a header; the first MAX_KEYS are kept
_SAMPLE_BYTES = 1 << 20  # of all tables together; their encoding is chosen from these bytes
StoreRow = Callable[[ManifestRow], bool]  # returns False if there is no room for the row
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def stated_encoding(data: bytes) -> str | None:
    """Return the encoding that the first bytes state, or None."""
    for magic, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(magic):
            return encoding
    # UTF-16 without a byte order mark: every second byte of Latin text is zero.
    head = data[:200]
    if len(head) >= 4 and head[1::2].count(0) > len(head) // 10 and not head[::2].count(0):
        return "utf-16-le"
    if len(head) >= 4 and head[::2].count(0) > len(head) // 10 and not head[1::2].count(0):
        return "utf-16-be"
    return None


def choose_encoding(openers: Iterable[Open]) -> str | None:
    """Return one encoding for all tables that state none. None: no encoding reads all of them."""
    samples, left = [], _SAMPLE_BYTES
    for open_table in openers:
        with open_table() as file:
            if stated_encoding(file.read(200)) is None:
                samples.append(_sample(open_table, left))
                left = max(0, left - len(samples[-1]))
    return encodings.find_encoding(samples, encodings.OF_TABLES)


def _sample(open_table: Open, most: int) -> bytes:
    """Return lines that are not ASCII: the first lines, and the first line that is not UTF-8."""
    lines, size, is_utf8 = [], 0, True
    with open_table() as file:
        while line := file.readline(MAX_ROW):
            if line.isascii():
                continue
            fits = not is_utf8 or _reads(line, "utf-8")
            if size < most or not fits:
                lines.append(line)
                size += len(line)
            is_utf8 &= fits
    return b"".join(lines)


def _reads(data: bytes, codec: str) -> bool:
    try:
        data.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def parse(
    open_table: Open, encoding: str | None, store_row: StoreRow, options: ReadOptions = NO_LABELS
) -> list[Line]:
    """Read a table (comma, semicolon or tab) row by row. Return report lines about what was not kept.

    `encoding` is used if the table states none. `store_row` stores a row and returns False if there is no
    room for it. Raises ProblemError metadata_invalid with the reason if the table cannot be used.
    """
    notes: list[Line] = []
    unnamed, too_many = _Rows(), _Rows()
    for row in read_rows(open_table, encoding, notes, options):
        if not row.location:
            unnamed.add(row.line)
        elif too_many.count or not store_row(row):
            too_many.add(row.line)
    if unnamed.count:
        detail = {"count": unnamed.count, "rows": unnamed.shown()}
        notes.append(ReportLine("metadata_unnamed_rows", "partly", detail))
    if too_many.count:
        detail = {"count": too_many.count, "rows": too_many.shown(), "limit": MAX_ROWS}
        notes.append(ReportLine("metadata_too_many_rows", "partly", detail))
    return notes


def read_rows(
    open_table: Open, encoding: str | None, notes: list[Line], options: ReadOptions = NO_LABELS
) -> Iterator[ManifestRow]:
    """Yield the rows of a table. At the end, the report lines about what was not kept are in `notes`.

    A row that names no file has no location.     Raises the error of `parse`.
    """
    try:
        with open_table() as file:
            stated = stated_encoding(file.read(200))
        codec = stated or encoding or _first_that_reads(open_table)
        delimiter, start, sep_line = _beginning(open_table, codec)
        with _text(open_table, codec) as text:
            text.read(start)
            lines = _Lines(text)
            reader = csv.reader(lines, delimiter=delimiter)
            yield from _table(reader, lines, sep_line, notes, options)
    except UnicodeError:
        raise ProblemError("metadata_invalid", reason="encoding") from None
    except csv.Error:
        raise ProblemError("metadata_invalid", reason="format") from None


def _text(open_table: Open, codec: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(open_table(), encoding=codec, newline="")


def _first_that_reads(open_table: Open) -> str:
    for codec in ("utf-8", "cp932", "euc_jp"):
        try:
            with _text(open_table, codec) as text:
                while text.read(1 << 16):
                    pass
        except UnicodeDecodeError:
            continue
        return codec
    raise ProblemError("metadata_invalid", reason="encoding")


def _beginning(open_table: Open, codec: str) -> tuple[str, int, bool]:
    """Return (delimiter, characters before the table, whether they include a line "sep=;").

    The line "sep=" of Excel states the delimiter. Otherwise it is the most frequent one in the header.
    """
    with _text(open_table, codec) as text:
        head = text.read(1 << 16)
    start = head.startswith("\ufeff")
    if stated := re.match(r'\s*"?sep=(.)"?\r?\n', head[start:], re.IGNORECASE):
        return stated[1], start + stated.end(), True
    line = next((line for line in io.StringIO(head) if line.strip()), "")
    return max(",;\t", key=line.count), int(start), False


class _Lines:
    """The lines of a table, for csv.reader.

    Raises csv.Error if a row is too long or has a NUL character.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.row = 0  # characters since the last row began

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_ROW + 1)
        if not line:
            raise StopIteration
        self.row += len(line)
        if self.row > MAX_ROW or "\0" in line:
            raise csv.Error
        return line


def _table(
    reader: Iterator[list[str]], lines: _Lines, sep_line: bool, notes: list[Line], options: ReadOptions
) -> Iterator[ManifestRow]:
    header = next((row for row in reader if any(cell.strip() for cell in row)), [])
    if not header:
        raise ProblemError("metadata_invalid", reason="empty")
    if len(header) > MAX_COLUMNS:
        raise ProblemError("metadata_invalid", reason="format")
    columns, renamed = _columns(header)
    folded = [fold_name(cell) for cell in header]
    at = next((folded.index(name) for name in FILE_COLUMNS if name in folded), None)
    if at is None:
        raise ProblemError("metadata_invalid", reason="no_file_column")
    others = [i for i in range(len(columns)) if i != at]
    label_at = None
    try:
        named = label_column_of([columns[i] for i in others], options)
        label_at = columns.index(named) if named is not None else None
    except ProblemError as problem:
        notes.append(ReportLine(problem.code, "partly", problem.detail))
    others = [i for i in others if i != label_at]
    kept, left_out = others[:MAX_KEYS], [columns[i] for i in others[MAX_KEYS:]]
    cut, long_rows = _Rows(), _Rows()
    lines.row = 0
    for row in reader:
        lines.row = 0
        line = reader.line_num + sep_line  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in row):
            continue
        cell = row[at].strip() if at < len(row) else ""
        if not cell:
            yield ManifestRow(line, "")
            continue
        if any(extra.strip() for extra in row[len(columns) :]):
            long_rows.add(line)
        values = {}
        for i in kept:
            if i < len(row) and (value := clean(row[i])):
                if len(value) > MAX_TEXT:
                    cut.add(line)
                values[columns[i]] = value[:MAX_TEXT]
        label = row[label_at] if label_at is not None and label_at < len(row) else ""
        yield ManifestRow(line, cell, values, labels_of([label]))
    if left_out:
        shown = ", ".join(left_out[:EXAMPLES]) + (" …" if len(left_out) > EXAMPLES else "")
        detail = {"count": len(left_out), "limit": MAX_KEYS, "columns": shown}
        notes.append(ReportLine("metadata_columns", "partly", detail))
    if renamed:
        notes.append(
            ReportLine("metadata_columns_renamed", "noted", {"columns": ", ".join(renamed[:EXAMPLES])})
        )
    for code, rows, more in (
        ("metadata_cut", cut, {"limit": MAX_TEXT}),
        ("metadata_long_rows", long_rows, {}),
    ):
        if rows.count:
            notes.append(ReportLine(code, "partly", {"count": rows.count, "rows": rows.shown()} | more))


def _columns(header: list[str]) -> tuple[list[str], list[str]]:
    """Return (a name for every column, the names that were changed).

    Columns with an empty or a repeated name get a new name and keep their values.
    """
    columns: list[str] = []
    taken: set[str] = set()
    made = []
    used: Counter[str] = Counter()
    for number, cell in enumerate(header, 1):
        name = clean(cell)[:MAX_TEXT]
        plain = name
        name = name or f"column {number}"
        used[name] = max(1, used[name])
        while name in taken:
            used[plain] += 1
            name = f"{plain} ({used[plain]})"
        if plain and name != plain:
            made.append(name)
        columns.append(name)
        taken.add(name)
    return columns, made


class _Rows:
    """A count of rows with the first few line numbers. A row counts once."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[int] = []
        self._last = 0

    def add(self, line: int) -> None:
        if line == self._last:
            return
        self._last = line
        self.count += 1
        if len(self._first) < EXAMPLES:
            self._first.append(line)

    def shown(self) -> str:
        return ", ".join(map(str, self._first)) + (" …" if self.count > len(self._first) else "")
