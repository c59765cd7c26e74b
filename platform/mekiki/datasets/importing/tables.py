"""Reading metadata.csv: one table of text, with everything that could not be kept listed."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mekiki.datasets.importing import encodings, names
from mekiki.datasets.problems import Note, ProblemError

MAX_KEYS = 30
MAX_TEXT = 200  # characters of a key or value
MAX_BYTES = 32 * 1024 * 1024
_FILE_COLUMNS = (
    *(
        "file",
        "filename",
        "filepath",
        "name",
        "path",
        "image",
        "imagename",
        "imagefile",
        "imagefilename",
        "imagepath",
    ),
    *(
        "ファイル",
        "ファイル名",
        "ファイルパス",
        "パス",
        "画像",
        "画像名",
        "画像ファイル",
        "画像ファイル名",
        "sha256",
    ),
)
_WORD_GAP = re.compile(r"[\s_-]+")  # "Image Name", "image_name" and "imagename" are one name
_EXAMPLES = 5  # rows or columns named in one line of the report
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass
class Row:
    """One row: its line in the file, the cell that names the image, the other cells by column."""

    line: int
    cell: str
    values: dict[str, str]


@dataclass
class Table:
    """The rows of a table, and lines of the report about what was not kept of it."""

    rows: list[Row] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def mark(data: bytes) -> str | None:
    """The encoding that the first bytes state; None: they state none."""
    for magic, encoding in _MARKS:
        if data.startswith(magic):
            return encoding
    # UTF-16 without a mark: every second byte of Latin text is zero.
    head = data[:200]
    if len(head) >= 4 and head[1::2].count(0) > len(head) // 10 and not head[::2].count(0):
        return "utf-16-le"
    if len(head) >= 4 and head[::2].count(0) > len(head) // 10 and not head[1::2].count(0):
        return "utf-16-be"
    return None


def choose_encoding(tables: list[bytes]) -> str | None:
    """The one encoding of all tables that state none; None: there is none that reads them all."""
    return encodings.choose((data for data in tables if mark(data) is None), encodings.OF_TABLES)


def parse(data: bytes, encoding: str | None) -> Table:
    """Read a table: comma, semicolon or tab. `encoding` is used where the table states none.

    ProblemError("metadata_invalid") with the reason when it cannot be used.
    """
    if len(data) > MAX_BYTES:
        raise ProblemError("metadata_invalid", reason="too_large")
    if not data.strip():
        raise ProblemError("metadata_invalid", reason="empty")
    text = _text(data, encoding)
    if "\0" in text:
        raise ProblemError("metadata_invalid", reason="format")
    delimiter, start = _delimiter(text)
    try:
        return _table(csv.reader(io.StringIO(text[start:], newline=""), delimiter=delimiter), bool(start))
    except csv.Error:
        raise ProblemError("metadata_invalid", reason="format") from None


def _text(data: bytes, encoding: str | None) -> str:
    codecs = [stated] if (stated := mark(data)) else [encoding] if encoding else ["utf-8", "cp932", "euc_jp"]
    for codec in codecs:
        try:
            return data.decode(codec).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    raise ProblemError("metadata_invalid", reason="encoding")


def _delimiter(text: str) -> tuple[str, int]:
    """(delimiter, where the table begins): Excel's first line "sep=;" states it, else the header's commonest."""
    if stated := re.match(r'\s*"?sep=(.)"?\r?\n', text, re.IGNORECASE):
        return stated[1], stated.end()
    head = next((line for line in io.StringIO(text) if line.strip()), "")
    return max(",;\t", key=head.count), 0


def _table(reader: Iterator[list[str]], sep_line: bool) -> Table:
    table = Table()
    header = next((row for row in reader if any(cell.strip() for cell in row)), [])
    columns, renamed = _columns(header)
    folded = [_WORD_GAP.sub("", unicodedata.normalize("NFKC", cell).casefold()) for cell in header]
    at = next((folded.index(name) for name in _FILE_COLUMNS if name in folded), None)
    if at is None:
        raise ProblemError("metadata_invalid", reason="no_file_column")
    others = [i for i in range(len(columns)) if i != at]
    kept, left_out = others[:MAX_KEYS], [columns[i] for i in others[MAX_KEYS:]]
    cut, long_rows, unnamed = _Rows(), _Rows(), _Rows()
    for row in reader:
        line = reader.line_num + sep_line  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in row):
            continue
        cell = row[at].strip() if at < len(row) else ""
        if not cell:
            unnamed.add(line)
            continue
        if any(extra.strip() for extra in row[len(columns) :]):
            long_rows.add(line)
        values = {}
        for i in kept:
            if i < len(row) and (value := _clean(row[i])):
                if len(value) > MAX_TEXT:
                    cut.add(line)
                values[columns[i]] = value[:MAX_TEXT]
        table.rows.append(Row(line, cell, values))
    if left_out:
        shown = ", ".join(left_out[:_EXAMPLES]) + (" …" if len(left_out) > _EXAMPLES else "")
        detail = {"count": len(left_out), "limit": MAX_KEYS, "columns": shown}
        table.notes.append(Note("metadata_columns", "partly", detail))
    if renamed:
        table.notes.append(
            Note("metadata_columns_renamed", "noted", {"columns": ", ".join(renamed[:_EXAMPLES])})
        )
    for code, rows, more in (
        ("metadata_cut", cut, {"limit": MAX_TEXT}),
        ("metadata_long_rows", long_rows, {}),
        ("metadata_unnamed_rows", unnamed, {}),
    ):
        if rows.count:
            table.notes.append(Note(code, "partly", {"count": rows.count, "rows": rows.shown()} | more))
    return table


def _columns(header: list[str]) -> tuple[list[str], list[str]]:
    """(a name for every column, names that had to be made): empty ones and repeated ones keep their values."""
    columns: list[str] = []
    made = []
    used: Counter[str] = Counter()
    for number, cell in enumerate(header, 1):
        name = _clean(cell)[:MAX_TEXT]
        plain = name
        name = name or f"column {number}"
        used[name] = max(1, used[name])
        while name in columns:
            used[plain] += 1
            name = f"{plain} ({used[plain]})"
        if plain and name != plain:
            made.append(name)
        columns.append(name)
    return columns, made


def _clean(text: str) -> str:
    """A cell on one line, with composed characters; control characters are shown, not deleted."""
    return names.escaped(" ".join(unicodedata.normalize("NFC", text).split()))


class _Rows:
    """Counts rows and keeps the first few line numbers; a row counts once."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[int] = []
        self._last = 0

    def add(self, line: int) -> None:
        if line == self._last:
            return
        self._last = line
        self.count += 1
        if len(self._first) < _EXAMPLES:
            self._first.append(line)

    def shown(self) -> str:
        return ", ".join(map(str, self._first)) + (" …" if self.count > len(self._first) else "")
