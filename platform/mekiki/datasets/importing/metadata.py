"""metadata.csv: what is known of each file besides its pixels (line, camera, lot, shift …)."""

import csv
import io
import unicodedata

from mekiki.datasets.problems import ProblemError

FILE_NAME = "metadata.csv"
MAX_KEYS = 30
MAX_TEXT = 200  # characters of a key or value
MAX_BYTES = 32 * 1024 * 1024
_FILE_COLUMNS = ("file", "filename", "file_name", "name", "path", "ファイル", "ファイル名")

Table = dict[str, dict[str, str]]  # file name → metadata


def is_table(name: str) -> bool:
    """Is this file a table of metadata, by its name?"""
    return name.replace("\\", "/").rsplit("/", 1)[-1].lower() == FILE_NAME


def parse(data: bytes) -> Table:
    """File name → {column: text}. At most 30 columns of 200 characters; empty cells are left out.

    UTF-8 or Shift-JIS (cp932); comma, semicolon or tab. ProblemError("metadata_invalid") otherwise.
    """
    if len(data) > MAX_BYTES:
        raise ProblemError("metadata_invalid", reason="too_large")
    for encoding in ("utf-8-sig", "cp932"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise ProblemError("metadata_invalid", reason="encoding")
    if "\0" in text:
        raise ProblemError("metadata_invalid", reason="format")
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    try:
        rows = csv.reader(io.StringIO(text), delimiter=delimiter)
        header = [_clean(cell) for cell in next(rows, [])]
        lower = [cell.lower() for cell in header]
        column = next((lower.index(c) for c in _FILE_COLUMNS if c in lower), None)
        if column is None:
            raise ProblemError("metadata_invalid", reason="no_file_column")
        kept = [i for i, key in enumerate(header) if i != column and key][:MAX_KEYS]
        table: Table = {}
        for row in rows:
            if column < len(row) and (file := key_of(row[column])):
                table[file] = {header[i]: v for i in kept if i < len(row) and (v := _clean(row[i]))}
    except csv.Error:
        raise ProblemError("metadata_invalid", reason="format") from None
    return table


def key_of(name: str) -> str:
    """How a file is looked up: composed characters, forward slashes, no leading "./"."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/")).removeprefix("./").lstrip("/")


def _clean(text: str) -> str:
    kept = "".join(c for c in text if unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    return unicodedata.normalize("NFC", kept).strip()[:MAX_TEXT]


class Tables:
    """All tables of one upload, each for the files beside and below it."""

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}

    def add(self, name: str, data: bytes) -> None:
        """Take a table found under `name`. ProblemError("metadata_invalid")."""
        self._tables[key_of(name).rpartition("/")[0]] = parse(data)

    def of(self, name: str) -> dict[str, str]:
        """What the nearest table above a file says of it, by its relative path, else by its bare name."""
        path = key_of(name)
        folder, _, bare = path.rpartition("/")
        while True:
            table = self._tables.get(folder)
            if table is not None:
                relative = path[len(folder) + 1 :] if folder else path
                found = table.get(relative)
                if found is None:
                    found = table.get(bare)
                if found is not None:
                    return found
            if not folder:
                return {}
            folder = folder.rpartition("/")[0]
