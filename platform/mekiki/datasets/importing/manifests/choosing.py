"""The choice of the reader of a manifest, by the first bytes of the file and by its name."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from mekiki.datasets.importing import tables
from mekiki.datasets.importing.manifests import coco, fiftyone, json_lines, label_studio, parquet, table_rows
from mekiki.datasets.importing.manifests.json_items import items
from mekiki.datasets.importing.manifests.rows import Open, ReadOptions, Rows
from mekiki.datasets.problems import ProblemError

HEAD_BYTES = 64 * 1024
_PARQUET = b"PAR1"
_ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")


@dataclass(frozen=True)
class Manifest:
    """A manifest with its format. `title` names the format for users."""

    title: str
    open_file: Open
    _read: Callable[[Open, ReadOptions], Rows]

    def rows(self, options: ReadOptions) -> Rows:
        """Yield the rows. Raises ProblemError manifest_invalid if the file cannot be read further."""
        return self._read(self.open_file, options)

    def count(self) -> int:
        """Return the number of rows for the progress bar. It may be a little too high, or 0 if unknown."""
        if self._read is parquet.read:
            return parquet.count(self.open_file)
        if self._read in (table_rows.read, json_lines.read):
            lines, last = 0, b"\n"
            with self.open_file() as file:
                for piece in iter(lambda: file.read(1 << 20), b""):
                    lines, last = lines + piece.count(b"\n"), piece[-1:]
            # The header of a table is no row; the last row may have no end of line.
            return max(1, lines + (last != b"\n") - (self._read is table_rows.read))
        prefixes = {label_studio.read: "item", coco.read: "images.item"}
        prefix = next((of for read, of in prefixes.items() if read is self._read), "")
        try:
            return sum(1 for _item in items(self.open_file, prefix)) if prefix else 0
        except ProblemError:
            return 0


def is_manifest(name: str, head: bytes) -> bool:
    """Return whether a file may be a manifest, by its name and first bytes."""
    return head.startswith(_PARQUET) or name.lower().endswith(_ENDINGS)


def choose(open_file: Open, name: str) -> Manifest:
    """Return the manifest of a file.

    Raises ProblemError manifest_invalid if its format is not known.
    """
    with open_file() as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        raise ProblemError("manifest_invalid", reason="empty")
    if head.startswith(_PARQUET):
        return Manifest("Parquet", open_file, parquet.read)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    is_utf16 = tables.stated_encoding(head) in {"utf-16", "utf-16-le", "utf-16-be"}
    if not is_utf16 and start.startswith(b"["):
        return Manifest("Label Studio", open_file, label_studio.read)
    if not is_utf16 and start.startswith(b"{"):
        return _object(open_file, name, start)
    if b"\0" in head and not is_utf16:
        raise ProblemError("manifest_invalid", reason="format")
    return Manifest("CSV", open_file, table_rows.read)


def _object(open_file: Open, name: str, start: bytes) -> Manifest:
    """Return the manifest of a file that begins with an object: JSONL, COCO or FiftyOne."""
    if not name.lower().endswith(".json") and _is_object(start.split(b"\n", 1)[0]):
        return Manifest("JSONL", open_file, json_lines.read)
    keys = set(re.findall(rb'"(images|annotations|categories|classes|labels)"\s*:', start))
    with_rest = keys | _later_keys(open_file)
    if with_rest >= {b"images"} and with_rest & {b"annotations", b"categories"}:
        return Manifest("COCO", open_file, coco.read)
    if b"labels" in with_rest:
        return Manifest("FiftyOne", open_file, fiftyone.read)
    if _is_object(start.split(b"\n", 1)[0]):
        return Manifest("JSONL", open_file, json_lines.read)
    raise ProblemError("manifest_invalid", reason="format")


def _later_keys(open_file: Open) -> set[bytes]:
    """Return the top-level keys of a JSON object, as far as it can be read."""
    import ijson

    names_read: set[bytes] = set()
    with open_file() as file:
        try:
            for prefix, event, value in ijson.parse(file):
                if prefix == "" and event == "map_key":
                    names_read.add(str(value).encode())
                    if names_read >= {b"images", b"annotations"} or b"labels" in names_read:
                        break
        except (ijson.JSONError, ValueError, OverflowError):
            pass
    return names_read


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
