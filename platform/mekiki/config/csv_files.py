"""CSV files: streamed with constant memory, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from verification.cells import cell_text, safe_cell

if TYPE_CHECKING:
    from django.http import StreamingHttpResponse

__all__ = ["BOM", "cell_text", "csv_response", "safe_cell", "utc"]

# Excel reads a file as UTF-8 only with a byte order mark.
BOM = "\ufeff"


class _Echo:
    """A file object that returns the text written to it."""

    def write(self, text: str) -> str:
        return text


def utc(at: datetime) -> str:
    """Return a time in UTC, in ISO 8601 with Z, for programs."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def csv_response(name: str, rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """Return a download that streams the rows in UTF-8.

    The caller passes each text that a user wrote through `safe_cell`. A character that UTF-8 cannot store
    becomes an escape sequence.
    """
    from django.http import StreamingHttpResponse

    writer = csv.writer(_Echo())

    def pieces() -> Iterator[bytes]:
        yield BOM.encode()
        for row in rows:
            line: str = writer.writerow(row)  # type: ignore[assignment]
            yield line.encode("utf-8", "backslashreplace")

    response = StreamingHttpResponse(pieces(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
