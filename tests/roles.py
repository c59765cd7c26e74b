"""The database roles of the tests.

A test's connection has only the application's rights. Statements that only the owner or an attacker can run
are inside `as_owner`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from django.db import DatabaseError, connection
from django.db.models import Model

from mekiki.embedded.roles import APPLICATION, OWNER, REPORT, SUPERUSER

RowT = TypeVar("RowT", bound=Model)

SUPERUSER_URL, OWNER_URL = "MEKIKI_TEST_SUPERUSER_URL", "MEKIKI_TEST_OWNER_URL"
# Has the rights of mekiki_app. It may become the owner and the superuser only by SET ROLE.
TEST_ROLE = "mekiki_test"


def superuser_url(database: str = "mekiki") -> str:
    """Return the URL of the test server's superuser, for a database on it."""
    return os.environ[SUPERUSER_URL].replace("/mekiki?", f"/{database}?")


def test_database_url(role_url: str = "") -> str:
    """Return the URL of the database that tests run in, for separate processes."""
    url = role_url or os.environ["DATABASE_URL"]
    return url.replace("/mekiki?", f"/{connection.settings_dict['NAME']}?")


test_database_url.__test__ = False  # type: ignore[attr-defined]


def grant_rights() -> None:
    """Grant the application and the reports their rights, in a test database with new tables."""
    from mekiki.embedded.roles import rights

    rights.grant(test_database_url(os.environ[OWNER_URL]), application=APPLICATION, report=REPORT)


@contextmanager
def as_owner(*, triggers: bool = True) -> Iterator[None]:
    """Run the block with all rights in the database.

    With triggers=False no trigger and no foreign key fires.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('role')")
        before = cursor.fetchone()[0]
        if triggers:
            cursor.execute(f"SET ROLE {OWNER}")
        else:  # which needs a superuser
            cursor.execute(f"SET ROLE {SUPERUSER}")
            cursor.execute("SET session_replication_role = replica")
    try:
        yield
    finally:
        # In a failed transaction, its rollback resets both settings.
        with suppress(DatabaseError), connection.cursor() as cursor:
            if not triggers:
                cursor.execute("RESET session_replication_role")
            cursor.execute(f"SET ROLE {before}")


def set_fixed(row: Model, **values: Any) -> None:
    """Change columns of a row that nobody may change, in the database and in `row`."""
    with as_owner(triggers=False):
        type(row)._base_manager.filter(pk=row.pk).update(**values)
    for name, value in values.items():
        setattr(row, name, value)


def made_at(model: type[RowT], time: datetime, column: str, **values: Any) -> RowT:
    """Insert a row with a given time, which the database would set otherwise."""
    with as_owner(triggers=False):
        return model._base_manager.create(**{column: time}, **values)


@contextmanager
def without_append_only(*models: type[Model]) -> Iterator[None]:
    """Run as the owner while rows of these models may be changed and deleted. All other triggers fire."""
    tables = [model._meta.db_table for model in models]
    with as_owner(), connection.cursor() as cursor:
        for verb in ("DISABLE", "ENABLE"):
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with deferred checks cannot be altered
            for table in tables:
                cursor.execute(
                    "SELECT tgname FROM pg_trigger"
                    " WHERE tgrelid = %s::regclass AND tgname ~ 'append_only|no_delete'",
                    [table],
                )
                for (name,) in cursor.fetchall():
                    cursor.execute(f'ALTER TABLE {table} {verb} TRIGGER "{name}"')
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            if verb == "DISABLE":
                yield
