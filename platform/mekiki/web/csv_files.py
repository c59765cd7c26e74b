"""CSV downloads: streamed, with constant memory, and safe to open in a spreadsheet."""

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.http import StreamingHttpResponse

# Spreadsheets read a cell that begins with one of these as a formula (OWASP, "CSV Injection").
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠'")  # "'" is escaped too, so that removing one restores the text


class _Echo:
    """A file object that returns the text written to it."""

    def write(self, text: str) -> str:
        return text


def safe_cell(text: str) -> str:
    """Return text that a user wrote in a form that no spreadsheet runs as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def utc(at: datetime) -> str:
    """Return a time in UTC, in ISO 8601 with Z, for programs."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def csv_response(name: str, rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """Return a download that streams the rows."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield "\ufeff"  # Excel reads UTF-8 only with a byte order mark
        for row in rows:
            yield writer.writerow(row)  # type: ignore[misc]

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
