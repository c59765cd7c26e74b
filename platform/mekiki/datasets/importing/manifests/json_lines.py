"""JSONL manifests: one JSON object a line, as `metadata.jsonl` of Hugging Face's ImageFolder."""

import json
import math

from mekiki.datasets.importing.manifests.rows import MAX_ROW, BadRow, ObjectRows, Open, ReadOptions, Rows
from mekiki.datasets.problems import ReportLine


def read(open_file: Open, options: ReadOptions) -> Rows:
    """Yield the rows of a JSONL file. Lines that are no JSON object are reported one by one."""
    objects = ObjectRows(options)
    with open_file() as file:
        number = 0
        while data := file.readline(MAX_ROW + 1):
            number += 1
            if len(data) > MAX_ROW:
                while data and not data.endswith(b"\n"):
                    data = file.readline(MAX_ROW)
                yield _bad(number, "too_long")
                continue
            if number == 1:
                data = data.removeprefix(b"\xef\xbb\xbf")
            if not data.strip():
                continue
            try:
                item = json.loads(data.decode("utf-8"), parse_constant=_no_number, parse_int=_integer)
            except UnicodeDecodeError:
                yield _bad(number, "encoding")
            except (ValueError, RecursionError):
                yield _bad(number, "json")
            else:
                yield objects.row(number, item) if isinstance(item, dict) else _bad(number, "object")
    yield from objects.lines()


def _bad(line: int, reason: str) -> BadRow:
    return BadRow(line, ReportLine("manifest_row_unreadable", "partly", {"row": line, "reason": reason}))


def _no_number(_text: str) -> float:
    return math.nan


def _integer(text: str) -> int | str:
    # Python refuses to convert thousands of digits, and such a number is only kept as text.
    return int(text) if len(text) < 40 else text
