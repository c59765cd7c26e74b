"""Tables as files: streamed, in memory that does not grow, safe to open in a spreadsheet."""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.http import StreamingHttpResponse

# A cell that begins so is read as a formula by spreadsheets (OWASP, "CSV Injection").
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠'")  # the apostrophe too: taking one away gives the text back


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def safe_cell(text: str) -> str:
    """Return what a person wrote, so that no spreadsheet runs it."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def utc(at: datetime) -> str:
    """Return a time for machines: UTC, ISO 8601, with Z."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def csv_response(name: str, rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """Return a download of the rows, which are written as they come."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield "\ufeff"  # with a byte order mark Excel reads UTF-8
        for row in rows:
            yield writer.writerow(row)  # type: ignore[misc]

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
