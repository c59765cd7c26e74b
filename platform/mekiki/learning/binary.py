"""PostgreSQL's binary COPY as NumPy arrays.

It is used for the two tables that have one row for each image and head, or for each image and encoder.

Format (PostgreSQL documentation, "COPY", section "Binary Format"): an 11-byte signature and two int32 (flags
and extension length, both 0). Each row is an int16 with the number of fields, then for each field an int32
length and that many bytes. An int16 −1 ends the data. All numbers are big-endian. A halfvec (pgvector,
`halfvec_send`) is an int16 with the number of dimensions, an unused int16, then one big-endian float16 for
each dimension. Every field here has a fixed width, so a chunk of rows is one structured array.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray
from psycopg import sql

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
HEADER = SIGNATURE + bytes(8)
TRAILER = b"\xff\xff"
# Bytes of rows in one chunk.
CHUNK = 4 << 20

INT4 = np.dtype(">i4")
INT8 = np.dtype(">i8")
FLOAT8 = np.dtype(">f8")
UUID = np.dtype([("first", ">u8"), ("second", ">u8")])


def halfvec(dim: int) -> np.dtype:
    """Return the dtype of a halfvec with `dim` dimensions."""
    return np.dtype([("dim", ">i2"), ("unused", ">i2"), ("values", ">f2", (dim,))])


def row_type(fields: dict[str, np.dtype]) -> np.dtype:
    """Return the dtype of one row with these columns. No column may be null."""
    parts: list[Any] = [("_fields", ">i2")]
    for name, kind in fields.items():
        parts += [(f"_{name}", ">i4"), (name, kind)]
    return np.dtype(parts)


def blank_rows(n: int, fields: dict[str, np.dtype]) -> NDArray[Any]:
    """Return n rows with field counts and lengths filled in. The caller sets the values."""
    rows = np.zeros(n, row_type(fields))
    rows["_fields"] = len(fields)
    for name, kind in fields.items():
        rows[f"_{name}"] = kind.itemsize
        if kind.names and "dim" in kind.names:
            rows[name]["dim"] = kind["values"].shape[0]
    return rows


def copy_in(table: str, columns: list[str], rows: NDArray[Any]) -> None:
    """Write structured rows into a table with COPY.

    The rows come from `blank_rows`, with the columns in the same order.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    step = max(1, CHUNK // rows.dtype.itemsize)
    # Django translates only the errors of `execute`. Callers must also recognize a lost connection here, to
    # retry.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(HEADER)
        for start in range(0, len(rows), step):
            copy.write(rows[start : start + step].tobytes())
        copy.write(TRAILER)


def copy_out(
    query: sql.Composable, fields: dict[str, np.dtype], *, using: BaseDatabaseWrapper | None = None
) -> Iterator[NDArray[Any]]:
    """Yield the rows of a query as structured arrays of at most about CHUNK bytes, in the query's order.

    using: the connection to read from, by default Django's. It cannot run other queries between two chunks.
    Raises RuntimeError if a row does not have the given shape (a null or another dimension).
    """
    kind = row_type(fields)
    expected = blank_rows(1, fields)
    held = bytearray()
    begun = False
    database = using or connection
    with database.wrap_database_errors, database.cursor() as cursor:
        copy_out_statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)
        with cursor.copy(copy_out_statement) as copy:
            for block in copy:
                held += block
                if not begun and len(held) >= len(HEADER):
                    if held[: len(SIGNATURE)] != SIGNATURE:
                        raise RuntimeError("This is not PostgreSQL's binary COPY format.")
                    del held[: len(HEADER)]
                    begun = True
                if begun and len(held) >= CHUNK + len(TRAILER):
                    yield _take(held, len(held) - len(TRAILER), kind, expected)
    if begun and held[-len(TRAILER) :] != TRAILER:
        raise RuntimeError("The copied rows ended too early.")
    body = len(held) - len(TRAILER)
    if body > 0:
        if body % kind.itemsize:
            raise RuntimeError("The copied rows do not have the expected shape.")
        yield _take(held, body, kind, expected)


def _take(held: bytearray, available: int, kind: np.dtype, expected: NDArray[Any]) -> NDArray[Any]:
    """Remove whole rows from the front of `held`, check their field counts and lengths, and return them."""
    whole = available // kind.itemsize * kind.itemsize
    rows = np.frombuffer(bytes(held[:whole]), kind)
    del held[:whole]
    for name in kind.names or ():
        if name.startswith("_") and not (rows[name] == expected[name][0]).all():
            raise RuntimeError("The copied rows do not have the expected shape.")
    return rows
