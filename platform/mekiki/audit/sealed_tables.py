"""The tables with sealed rows. This module registers events; other apps register their own tables.

A row is sealed as the canonical JSON of a record. The record has a field for each column, times as UTC text,
and the ids of other rows as numbers. A test checks that each column of the table is in the record.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from verification.canonical import canonical
from verification.merkle import leaf_hash

# The number of rows that are read from the database at once.
BATCH = 5000
_UTC = "to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def utc_text(column: str) -> str:
    """Return the SQL for a time in a record: ISO 8601, UTC, with microseconds."""
    return _UTC.format(column=column)


@dataclass(frozen=True)
class SealedTable:
    """A table whose rows are sealed in the order of their ids.

    `relation` is the name of the table in the database. `columns` maps a name in the record to SQL. `json`
    names the jsonb columns, which are read as text. `source` is the FROM clause, with the table as `t`.
    `uninteresting` is an SQL condition for rows that alone do not require a seal. `optional` names text
    columns that the record contains only if they are not empty. A column that is added later must be
    optional, so that the records of older rows, which are sealed already, stay the same.
    """

    name: str
    relation: str
    columns: dict[str, str]
    json: frozenset[str] = frozenset()
    source: str = ""
    uninteresting: str = "false"
    optional: frozenset[str] = frozenset()

    def _select(self) -> str:
        columns = ", ".join(
            f"({sql})::text" if name in self.json else sql for name, sql in self.columns.items()
        )
        return f"SELECT {columns} FROM {self.source or f'{self.relation} t'}"  # noqa: S608

    def record(self, row: tuple[Any, ...]) -> dict[str, Any]:
        """Return the record of a row that `_select` read."""
        values = self._values(row)
        for name in self.json:
            values[name] = json.loads(values[name])
        return values

    def _values(self, row: tuple[Any, ...]) -> dict[str, Any]:
        values = zip(self.columns, row, strict=True)
        return {name: value for name, value in values if value != "" or name not in self.optional}

    def content(self, row: tuple[Any, ...]) -> bytes:
        """Return the canonical JSON of a row.

        If RFC 8785 cannot express a JSON value, the record holds the database's text of the value. So a
        single row cannot prevent the sealing of the others.
        """
        try:
            return canonical(self.record(row))
        except (ValueError, RecursionError):
            return canonical(self._values(row) | {"json_as_text": True})

    def rows(self, *, after: int | None, upto: int | None) -> Iterator[tuple[int, bytes]]:
        """Yield (id, canonical JSON) of the rows with after < id <= upto, ascending. None is no bound."""
        while True:
            bounds = " AND ".join(
                f"t.id {sign} %s" for sign, bound in ((">", after), ("<=", upto)) if bound is not None
            )
            with connection.cursor() as cursor:
                cursor.execute(
                    f"{self._select()} {f'WHERE {bounds}' if bounds else ''} ORDER BY t.id LIMIT {BATCH}",
                    [bound for bound in (after, upto) if bound is not None],
                )
                records = cursor.fetchall()
            for row in records:
                yield row[0], self.content(row)
            if len(records) < BATCH:
                return
            after = records[-1][0]

    def leaves(self, *, after: int | None, upto: int | None) -> Iterator[tuple[int, bytes]]:
        """Yield (id, leaf hash). The arguments are those of `rows`."""
        for pk, content in self.rows(after=after, upto=upto):
            yield pk, leaf_hash(content)

    def newest_id(self) -> int | None:
        """Return the largest id, or None if the table is empty."""
        return self._value(f"SELECT max(id) FROM {self.relation}")  # noqa: S608

    def count_after(self, after: int | None) -> int:
        """Return the number of rows with a larger id, or of all rows if `after` is None."""
        sql = f"SELECT count(*) FROM {self.relation} WHERE id > %s"  # noqa: S608
        return int(self._value(sql, -(2**63) if after is None else after) or 0)

    def asks_for_seal(self, after: int | None) -> bool:
        """Return whether a row after this id requires a seal."""
        sql = (
            f"SELECT EXISTS (SELECT 1 FROM {self.relation} t "  # noqa: S608
            f"WHERE id > %s AND NOT ({self.uninteresting}))"
        )
        return bool(self._value(sql, -(2**63) if after is None else after))

    def _value(self, sql: str, *parameters: int) -> int | None:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            row = cursor.fetchone()
        return row[0] if row else None


_TABLES: dict[str, SealedTable] = {}


def register_sealed_table(table: SealedTable) -> None:
    """Register a table for sealing. Its first column must be the id. Called by an app when it is ready."""
    _TABLES[table.name] = table


def sealed_tables() -> list[SealedTable]:
    """Return the registered tables, sorted by name."""
    return [_TABLES[name] for name in sorted(_TABLES)]


def sealed_table(name: str) -> SealedTable | None:
    """Return the table of this name, or None if no app of this version registers it."""
    return _TABLES.get(name)


EVENTS = SealedTable(
    name="events",
    relation="audit_event",
    columns={
        "id": "t.id",
        "at": utc_text("t.at"),
        "kind": "t.kind",
        "actor_id": "t.actor_id",
        "actor_name": "t.actor_name",
        "dataset_id": "t.dataset_id",
        "object_type": "t.object_type",
        "object_id": "t.object_id",
        "data": "t.data",
    },
    json=frozenset({"data"}),
    # Sealing, checking and mailing a head write events themselves. Such events alone require no further seal.
    uninteresting=(
        "t.kind = 'seal.head_mailed' "
        "OR starts_with(t.kind, 'job.') AND t.data->>'kind' IN ('seal', 'check_seals')"
    ),
)
