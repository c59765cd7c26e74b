"""Deletion of all rows after a test that commits.

Django's flush truncates every table and creates content types and permissions again, which takes longer than
most tests. Here only tables with rows are emptied.
"""

from contextlib import suppress
from typing import Any

from django.db import OperationalError, connection
from psycopg.errors import DeadlockDetected

from tests.roles import as_owner

# Written by migrations, and the same for every test.
_KEPT = ("django_migrations", "django_content_type", "auth_permission")
_VACUUM_BYTES = 256 * 1024
_TABLES_WITH_ROWS = """
    CREATE OR REPLACE FUNCTION pg_temp.tables_with_rows(kept text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
    DECLARE name text; has_rows boolean;
    BEGIN
        FOR name IN SELECT quote_ident(tablename) FROM pg_tables
            WHERE schemaname = 'public' AND tablename <> ALL (kept) LOOP
            EXECUTE 'SELECT EXISTS (SELECT FROM ' || name || ')' INTO has_rows;
            IF has_rows THEN RETURN NEXT name; END IF;
        END LOOP;
    END $$
"""


def delete_all_rows() -> None:
    """Delete the rows of every table except those of migrations. Triggers and foreign keys do not fire.

    A page sends a last request when it is closed. Its transaction and the deletion can wait for each other.
    PostgreSQL then ends one of the two, and the deletion is tried again.
    """
    for attempt in range(5):
        try:
            return _delete_all_rows()
        except OperationalError as error:
            if attempt == 4 or not isinstance(error.__cause__, DeadlockDetected):
                raise


def _delete_all_rows() -> None:
    with as_owner(triggers=False), connection.cursor() as cursor:
        _drop_partitions(cursor)
        cursor.execute(_TABLES_WITH_ROWS)
        cursor.execute(
            "SELECT name, pg_table_size(name::regclass) FROM pg_temp.tables_with_rows(%s) AS name",
            [list(_KEPT)],
        )
        tables = cursor.fetchall()
        if tables:
            cursor.execute("; ".join(f"DELETE FROM {name}" for name, _size in tables))
        # Deleted rows stay in the files, and every later test would read past them.
        for name, size in tables:
            if size > _VACUUM_BYTES:
                cursor.execute(f"VACUUM {name}")


def _drop_partitions(cursor: Any) -> None:
    """Drop the partitions of predictions. Each later test would look into those of all earlier tests.

    A session that still reads predictions would delay the deletion, so a later test drops its partitions.
    """
    cursor.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'learning_prediction'::regclass"
    )
    if partitions := [name for (name,) in cursor.fetchall()]:
        cursor.execute("SET lock_timeout = '500ms'")
        with suppress(OperationalError):
            cursor.execute(f"DROP TABLE {', '.join(partitions)}")
        cursor.execute("RESET lock_timeout")
