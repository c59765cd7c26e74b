"""Reader for metadata.csv. Everything that cannot be kept is reported."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from mekiki.datasets.importing import encodings, names
from mekiki.datasets.importing.table_store import MAX_ROWS
from mekiki.datasets.problems import ProblemError, ReportLine

MAX_KEYS = 30
MAX_TEXT = 200  # characters of a key or value
MAX_ROW = 1 << 20  # characters of a row
MAX_COLUMNS = 10_000  # of a header; the first MAX_KEYS are kept
_SAMPLE_BYTES = 1 << 20  # of all tables together; their encoding is chosen from these bytes
Open = Callable[[], BinaryIO]  # opens a table at its beginning
StoreRow = Callable[
    [int, str, dict[str, str]], bool
]  # (line, cell that names the file, other cells by column)
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
_WORD_GAP = re.compile(r"[\s_-]+")  # "Image Name", "image_name" and "imagename" are the same name
_EXAMPLES = 5  # rows or columns named in one line of the report
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


def parse(open_table: Open, encoding: str | None, store_row: StoreRow) -> list[ReportLine]:
    """Read a table (comma, semicolon or tab) row by row. Return report lines about what was not kept.

    `encoding` is used if the table states none. `store_row` stores a row and returns False if there is no
    room for it. Raises ProblemError metadata_invalid with the reason if the table cannot be used.
    """
    try:
        with open_table() as file:
            stated = stated_encoding(file.read(200))
        codec = stated or encoding or _first_that_reads(open_table)
        delimiter, start, sep_line = _beginning(open_table, codec)
        with _text(open_table, codec) as text:
            text.read(start)
            lines = _Lines(text)
            return _table(csv.reader(lines, delimiter=delimiter), lines, sep_line, store_row)
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


def _table(reader: Iterator[list[str]], lines: _Lines, sep_line: bool, take: StoreRow) -> list[ReportLine]:
    header = next((row for row in reader if any(cell.strip() for cell in row)), [])
    if not header:
        raise ProblemError("metadata_invalid", reason="empty")
    if len(header) > MAX_COLUMNS:
        raise ProblemError("metadata_invalid", reason="format")
    columns, renamed = _columns(header)
    folded = [_WORD_GAP.sub("", unicodedata.normalize("NFKC", cell).casefold()) for cell in header]
    at = next((folded.index(name) for name in _FILE_COLUMNS if name in folded), None)
    if at is None:
        raise ProblemError("metadata_invalid", reason="no_file_column")
    others = [i for i in range(len(columns)) if i != at]
    kept, left_out = others[:MAX_KEYS], [columns[i] for i in others[MAX_KEYS:]]
    cut, long_rows, unnamed, too_many = _Rows(), _Rows(), _Rows(), _Rows()
    lines.row = 0
    for row in reader:
        lines.row = 0
        line = reader.line_num + sep_line  # type: ignore[attr-defined]
        if too_many.count:
            too_many.add(line)
            continue
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
        if not take(line, cell, values):
            too_many.add(line)
    notes = []
    if left_out:
        shown = ", ".join(left_out[:_EXAMPLES]) + (" …" if len(left_out) > _EXAMPLES else "")
        detail = {"count": len(left_out), "limit": MAX_KEYS, "columns": shown}
        notes.append(ReportLine("metadata_columns", "partly", detail))
    if renamed:
        notes.append(
            ReportLine("metadata_columns_renamed", "noted", {"columns": ", ".join(renamed[:_EXAMPLES])})
        )
    for code, rows, more in (
        ("metadata_cut", cut, {"limit": MAX_TEXT}),
        ("metadata_long_rows", long_rows, {}),
        ("metadata_unnamed_rows", unnamed, {}),
        ("metadata_too_many_rows", too_many, {"limit": MAX_ROWS}),
    ):
        if rows.count:
            notes.append(ReportLine(code, "partly", {"count": rows.count, "rows": rows.shown()} | more))
    return notes


def _columns(header: list[str]) -> tuple[list[str], list[str]]:
    """Return (a name for every column, the names that were changed).

    Columns with an empty or a repeated name get a new name and keep their values.
    """
    columns: list[str] = []
    taken: set[str] = set()
    made = []
    used: Counter[str] = Counter()
    for number, cell in enumerate(header, 1):
        name = _clean(cell)[:MAX_TEXT]
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


def _clean(text: str) -> str:
    """Return a cell on one line, with composed characters.

    Control characters are escaped, not deleted.
    """
    return names.escape_unprintable(" ".join(unicodedata.normalize("NFC", text).split()))


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
        if len(self._first) < _EXAMPLES:
            self._first.append(line)

    def shown(self) -> str:
        return ", ".join(map(str, self._first)) + (" …" if self.count > len(self._first) else "")
