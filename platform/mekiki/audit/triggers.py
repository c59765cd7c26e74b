"""Triggers that keep evidence unchanged.

For a model with `append_only`, the application's database role also loses the right to change rows
(embedded/roles).
"""

import pgtrigger

APPEND_ONLY, NO_DELETE = "append_only", "no_delete"


def append_only(*, dated: str = "") -> list[pgtrigger.Trigger]:
    """Return triggers that refuse UPDATE, DELETE and TRUNCATE for every database user.

    `dated` is the column with the time at which a row was written; see set_by_database.
    """
    refuse = pgtrigger.Protect(name=APPEND_ONLY, operation=pgtrigger.Update | pgtrigger.Delete)
    return [refuse, no_truncate(), *([set_by_database(dated)] if dated else [])]


def no_delete() -> list[pgtrigger.Trigger]:
    """Return triggers that refuse DELETE and TRUNCATE. Columns that are not fixed can still change."""
    return [pgtrigger.Protect(name=NO_DELETE, operation=pgtrigger.Delete), no_truncate()]


def no_truncate() -> pgtrigger.Trigger:
    """Return a trigger that refuses TRUNCATE."""
    return pgtrigger.Trigger(
        name="no_truncate",
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        operation=pgtrigger.Truncate,
        func="RAISE EXCEPTION 'this table is append-only';",
    )


def fixed_columns(*fields: str) -> pgtrigger.Trigger:
    """Return a trigger that refuses an UPDATE that changes one of these columns."""
    return pgtrigger.Protect(
        name="fixed_columns",
        operation=pgtrigger.Update,
        condition=pgtrigger.AnyChange(*fields, exclude_auto=False),
    )


def set_by_database(column: str) -> pgtrigger.Trigger:
    """Return a trigger that writes the database's time into `column` of each new row.

    A time that the client sent is ignored. The field has db_default=Now(), so that Django reads the stored
    time back. A restore is not affected, because pg_restore creates triggers after it has loaded the rows.
    """
    return pgtrigger.Trigger(
        name="set_time",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func=f"NEW.{column} := pg_catalog.statement_timestamp(); RETURN NEW;",
    )
