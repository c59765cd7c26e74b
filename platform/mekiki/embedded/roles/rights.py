"""Rights of the application and the reports for each table. The owner grants them after migrations."""

from collections.abc import Iterable
from typing import Any

import psycopg
from django.apps import apps
from psycopg import sql

from mekiki.audit.triggers import APPEND_ONLY, NO_DELETE
from mekiki.embedded.roles import checking

ALL = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
READ = frozenset({"SELECT"})
ADD = READ | {"INSERT"}
CHANGE = ADD | {"UPDATE"}
WRITE = CHANGE | {"DELETE"}
# Reports read the data of the platform, without sessions, passwords and second factors.
REPORTED_APPS = frozenset(
    {"audit", "jobs", "datasets", "labeling", "learning", "review", "quality", "exports"}
)
REPORTED_TABLES = frozenset({"accounts_membership", "django_migrations"})
REPORTED_COLUMNS = {
    "accounts_user": ("id", "username", "is_active", "is_superuser", "date_joined", "language")
}
# Tables that only migrations write.
MIGRATIONS_ONLY = frozenset({"django_migrations", "django_content_type", "auth_permission"})
PARTITIONED = "learning_prediction"


def application_rights() -> dict[str, frozenset[str]]:
    """Return table → rights of the application, derived from the triggers of the models."""
    rights: dict[str, frozenset[str]] = {}
    for model in apps.get_models(include_auto_created=True):
        if not model._meta.managed or model._meta.proxy:
            continue
        triggers = {trigger.name for trigger in getattr(model._meta, "triggers", [])}
        if model._meta.db_table in MIGRATIONS_ONLY:
            rights[model._meta.db_table] = READ
        elif APPEND_ONLY in triggers:
            rights[model._meta.db_table] = ADD
        else:
            rights[model._meta.db_table] = CHANGE if NO_DELETE in triggers else WRITE
    return rights | {"django_migrations": READ}


def evidence_tables() -> list[str]:
    """Return the append-only tables of the application."""
    return sorted(table for table, allowed in application_rights().items() if allowed == ADD)


def reported_tables() -> set[str]:
    """Return the tables with all columns readable for reports."""
    models = apps.get_models(include_auto_created=True)
    return {m._meta.db_table for m in models if m._meta.app_label in REPORTED_APPS} | REPORTED_TABLES


def grant(url: str, *, application: str, report: str) -> int:
    """Give both roles exactly their rights, if the roles exist, and return the number of statements.

    `url` is the owner's URL. Nothing happens if its role does not own the tables, or if the application owns
    them.
    """
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        if not _is_owner(cursor) or checking.is_owner(cursor, application):
            return 0
        done = 0
        if _exists(cursor, application):
            done += _grant_tables(cursor, application, application_rights())
            done += _grant_functions(cursor, application)
        if _exists(cursor, report):
            done += _grant_tables(cursor, report, dict.fromkeys(reported_tables(), READ))
            done += _grant_columns(cursor, report)
        return done


def _is_owner(cursor: Any) -> bool:
    cursor.execute("SELECT to_regclass('django_migrations') IS NOT NULL")
    if not cursor.fetchone()[0]:
        return False
    cursor.execute("SELECT current_user")
    return checking.is_owner(cursor, cursor.fetchone()[0])


def _exists(cursor: Any, role: str) -> bool:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s AND NOT rolsuper", [role])
    return cursor.fetchone() is not None


def _grant_tables(cursor: Any, role: str, rights: dict[str, frozenset[str]]) -> int:
    """Grant and revoke rights until `role` has exactly these rights on all tables of the schema.

    Returns the number of statements.
    """
    cursor.execute(
        "SELECT c.relname, c.relispartition, array(SELECT a.privilege_type FROM aclexplode(c.relacl) a "
        "WHERE a.grantee = %s::regrole) FROM pg_class c "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')",
        [f'"{role}"'],
    )
    name, done = sql.Identifier(role), 0
    for table, is_partition, had in cursor.fetchall():
        wanted = rights.get(PARTITIONED if is_partition else table, frozenset())
        for verb, kinds in (
            ("REVOKE {} ON public.{} FROM {}", set(had) - wanted),
            ("GRANT {} ON public.{} TO {}", wanted - set(had)),
        ):
            if kinds:
                cursor.execute(sql.SQL(verb).format(_privilege_list(kinds), sql.Identifier(table), name))
                done += 1
    cursor.execute("SELECT has_schema_privilege(%s, 'public', 'USAGE')", [role])
    if not cursor.fetchone()[0]:
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
        done += 1
    return done


def _grant_functions(cursor: Any, role: str) -> int:
    """Allow `role` to call the functions that run with the owner's rights.

    Returns the number of new grants.
    """
    cursor.execute(
        (
            "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace "
            "AND p.prosecdef AND p.prorettype <> 'trigger'::regtype "
            "AND NOT has_function_privilege(%s, p.oid, 'EXECUTE')"
        ),
        [role],
    )
    functions = [row[0] for row in cursor.fetchall()]
    for function in functions:  # the value comes from the system catalogue and is already quoted
        cursor.execute(
            sql.SQL("GRANT EXECUTE ON FUNCTION " + function + " TO {}").format(sql.Identifier(role))
        )
    return len(functions)


def _grant_columns(cursor: Any, role: str) -> int:
    done = 0
    for table, columns in REPORTED_COLUMNS.items():
        cursor.execute(
            (
                "SELECT a.attname FROM pg_attribute a "
                "WHERE a.attrelid = to_regclass(%s) AND a.attname = ANY(%s::text[]) "
                "AND NOT has_column_privilege(%s, a.attrelid, a.attnum, 'SELECT')"
            ),
            [table, list(columns), role],
        )
        missing = [row[0] for row in cursor.fetchall()]
        if missing:
            names = sql.SQL(", ").join(map(sql.Identifier, missing))
            cursor.execute(
                sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(
                    names, sql.Identifier(table), sql.Identifier(role)
                )
            )
            done += 1
    return done


def _privilege_list(kinds: Iterable[str]) -> sql.Composable:
    assert set(kinds) <= {*ALL, "MAINTAIN"}
    return sql.SQL(", ").join(sql.SQL(kind) for kind in sorted(kinds))
