"""The rows that every manifest gives, whatever its format, and the limits of their values."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from mekiki.datasets.importing import names
from mekiki.datasets.problems import ProblemError, ReportLine

MAX_KEYS = 30
MAX_TEXT = 200  # characters of a key or value
MAX_ROW = 1 << 20  # characters of a row
MAX_LABELS_OF_A_ROW = 20
EXAMPLES = 5  # rows or columns named in one line of the report

Line = ProblemError | ReportLine
Open = Callable[[], BinaryIO]  # opens a manifest at its beginning
_WORD_GAP = re.compile(r"[\s_-]+")  # "Image Name", "image_name" and "imagename" are the same name
# Names of the column or key that names the file, the first one first.
FILE_COLUMNS = (
    *("file", "filename", "filepath", "name", "path", "image", "imagename", "imagefile", "imagefilename"),
    *(
        "imagepath",
        "url",
        "imageurl",
        "uri",
        "ファイル",
        "ファイル名",
        "ファイルパス",
        "パス",
        "画像",
        "画像名",
    ),
    *("画像ファイル", "画像ファイル名", "画像url", "sha256"),
)
# Names of the column or key with the label, if nobody names it.
LABEL_COLUMNS = (
    *("label", "labels", "class", "classname", "classlabel", "category", "categoryname", "groundtruth"),
    *("ラベル", "分類", "クラス", "判定", "正解"),
)


@dataclass(frozen=True)
class RowLabel:
    """A label that a file gives an image.

    `author` is who gave it, by the name in the file. `predicted`: a model gave it.
    """

    text: str
    author: str = ""
    predicted: bool = False


@dataclass(frozen=True)
class ManifestRow:
    """A row that names one image: its path or its address, its metadata and its labels."""

    line: int
    location: str
    values: dict[str, str] = field(default_factory=dict)
    labels: tuple[RowLabel, ...] = ()


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, with the reason."""

    line: int
    problem: Line


@dataclass(frozen=True)
class ReadOptions:
    """Whether labels are read, and from which column. Without a name, a usual name is looked for."""

    takes_labels: bool = False
    label_column: str = ""


NO_LABELS = ReadOptions()
Rows = Iterator[ManifestRow | BadRow]


def fold_name(name: str) -> str:
    """Return the name of a column without differences of case, width, spaces, hyphens and underscores."""
    return _WORD_GAP.sub("", unicodedata.normalize("NFKC", name).casefold())


def unnamed_row(line: int) -> BadRow:
    """Return the report line of a row that names no file."""
    return BadRow(line, ReportLine("manifest_row_unnamed", "partly", {"row": line}))


def clean(text: str) -> str:
    """Return a cell on one line, with composed characters.

    Control characters are escaped, not deleted.
    """
    return names.escape_unprintable(" ".join(unicodedata.normalize("NFC", text).split()))


def column_named(columns: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    """Return the column with the first of the wanted names, or None."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(fold_name(column), column)
    return next((by_name[name] for name in wanted if name in by_name), None)


def label_column_of(columns: Iterable[str], options: ReadOptions) -> str | None:
    """Return the column with the labels, or None if labels are not taken or no column has them.

    Raises ProblemError manifest_no_label_column if a column was named and does not exist.
    """
    if not options.takes_labels:
        return None
    columns = list(columns)
    if not options.label_column:
        return column_named(columns, LABEL_COLUMNS)
    column = column_named(columns, (fold_name(options.label_column),))
    if column is None:
        raise ProblemError("manifest_no_label_column", column=options.label_column[:MAX_TEXT])
    return column


def labels_of(texts: Iterable[str], author: str = "", *, predicted: bool = False) -> tuple[RowLabel, ...]:
    """Return labels by their texts. Empty texts and repeated texts give none."""
    author = clean(author)[:MAX_TEXT]
    kept: dict[str, RowLabel] = {}
    for text in texts:
        if (shown := clean(text)[:MAX_TEXT]) and len(kept) < MAX_LABELS_OF_A_ROW:
            kept.setdefault(shown, RowLabel(shown, author, predicted))
    return tuple(kept.values())


def text_of(value: Any) -> str | None:
    """Return a value of JSON or Parquet as text. None: the value is a list or an object."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    return str(value) if hasattr(value, "isoformat") or type(value).__name__ == "Decimal" else None


def location_of(text: str) -> str:
    """Return a path or an address of a manifest as text that a database can store."""
    text = text.strip()
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        return names.escape_unprintable(text)
    return text


class Notes:
    """What the values of a manifest lost, counted for one report line each."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, list[int], int]] = {}
        self._columns: dict[str, dict[str, None]] = {}

    def row(self, code: str, line: int) -> None:
        """Count a row under a code. A row counts once."""
        count, first, last = self._rows.get(code, (0, [], -1))
        if line != last:
            self._rows[code] = (count + 1, [*first, line] if len(first) < EXAMPLES else first, line)

    def column(self, code: str, column: str) -> None:
        """Note a column under a code."""
        seen = self._columns.setdefault(code, {})
        if len(seen) < 1000:
            seen[clean(column)[:MAX_TEXT]] = None

    def lines(self) -> Iterator[Line]:
        """Yield the report lines."""
        for code, columns in self._columns.items():
            shown = ", ".join(list(columns)[:EXAMPLES]) + (" …" if len(columns) > EXAMPLES else "")
            limit = {"limit": MAX_KEYS} if code == "metadata_columns" else {}
            yield ReportLine(code, "partly", {"count": len(columns), "columns": shown, **limit})
        for code, (count, first, _last) in self._rows.items():
            shown = ", ".join(map(str, first)) + (" …" if count > len(first) else "")
            limit = {"limit": MAX_TEXT} if code == "metadata_cut" else {}
            yield ReportLine(code, "partly", {"count": count, "rows": shown, **limit})


class ObjectRows:
    """Rows from objects with keys: a line of JSONL, a row of Parquet, an item of a JSON list.

    The first MAX_KEYS keys that are neither the file nor the label are metadata.
    """

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._keys: dict[str, None] = {}
        self._has_label_column = False
        self.notes = Notes()

    def row(self, line: int, item: dict[str, Any]) -> ManifestRow | BadRow:
        """Return the row of an object, or why it cannot be used."""
        file = column_named(item, FILE_COLUMNS)
        location = text_of(item[file]) if file is not None else ""
        if file is not None and location is None and isinstance(item[file], dict):
            location = text_of(item[file].get("path"))  # an image of `datasets`: {"bytes", "path"}
        if not location or not location.strip():
            return unnamed_row(line)
        labels = self._labels(item)
        label = self._label_key(item)
        values: dict[str, str] = {}
        for key, value in item.items():
            if key in {file, label}:
                continue
            text = text_of(value)
            if text is None:
                self.notes.column("manifest_nested", key)
                continue
            name, text = clean(key)[:MAX_TEXT] or "?", clean(text)
            if not text:
                continue
            if name not in self._keys:
                if len(self._keys) >= MAX_KEYS:
                    self.notes.column("metadata_columns", key)
                    continue
                self._keys[name] = None
            if len(text) > MAX_TEXT:
                self.notes.row("metadata_cut", line)
            values[name] = text[:MAX_TEXT]
        return ManifestRow(line, location_of(location), values, labels)

    def _label_key(self, item: dict[str, Any]) -> str | None:
        try:
            key = label_column_of(item, self._options)
        except ProblemError:
            return None  # a key may be missing in some objects; `lines` reports it if all lack it
        self._has_label_column |= key is not None
        return key

    def _labels(self, item: dict[str, Any]) -> tuple[RowLabel, ...]:
        key = self._label_key(item)
        value = item.get(key) if key is not None else None
        texts = [text_of(one) or "" for one in (value if isinstance(value, list) else [value])]
        return labels_of(texts)

    def lines(self) -> Iterator[BadRow]:
        """Yield the report lines about all rows, at the end."""
        if self._options.takes_labels and self._options.label_column and not self._has_label_column:
            column = self._options.label_column[:MAX_TEXT]
            yield BadRow(0, ReportLine("manifest_no_label_column", "partly", {"column": column}))
        for line in self.notes.lines():
            yield BadRow(0, line)
