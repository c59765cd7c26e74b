"""Triggers that keep evidence as it was written. `append_only` on a model is also what takes the rights to change its
rows from the application's database role (embedded/roles)."""

import pgtrigger

APPEND_ONLY, NO_DELETE = "append_only", "no_delete"


def append_only(*, dated: str = "") -> list[pgtrigger.Trigger]:
    """Return triggers that refuse UPDATE, DELETE and TRUNCATE, whoever asks.

    dated: the column that says when a row was written; see set_by_database.
    """
    refuse = pgtrigger.Protect(name=APPEND_ONLY, operation=pgtrigger.Update | pgtrigger.Delete)
    return [refuse, no_truncate(), *([set_by_database(dated)] if dated else [])]


def no_delete() -> list[pgtrigger.Trigger]:
    """Return triggers that refuse DELETE and TRUNCATE; rows may change in columns that are not fixed."""
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
    """Return a trigger that refuses an UPDATE which changes one of these columns."""
    return pgtrigger.Protect(
        name="fixed_columns",
        operation=pgtrigger.Update,
        condition=pgtrigger.AnyChange(*fields, exclude_auto=False),
    )


def set_by_database(column: str) -> pgtrigger.Trigger:
    """Return a trigger that writes the database's time into `column` of each new row, whatever was sent.

    The field has db_default=Now(), so that Django reads the stored time back. A restore is not affected: pg_restore
    makes triggers after it has loaded the rows.
    """
    return pgtrigger.Trigger(
        name="set_time",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        func=f"NEW.{column} := pg_catalog.statement_timestamp(); RETURN NEW;",
    )
