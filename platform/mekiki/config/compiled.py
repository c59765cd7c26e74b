"""Queries that each thread compiles once, and that PostgreSQL plans once for each connection.

Django builds the SQL of a queryset anew for each call. For the short queries of the review this takes longer
than PostgreSQL needs to run them. A CompiledQuery keeps the SQL, and only the values differ from call to call
(docs/decisions/0040).
"""

import threading
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any, Generic, TypeVar

import psycopg
from django.db import connection
from django.db.models import BooleanField, Expression, Func, Model, QuerySet
from django.db.models.expressions import DatabaseDefault
from django.db.models.query import get_related_populators
from django.db.transaction import TransactionManagementError

Row = TypeVar("Row", bound=Model)


class Parameter(Expression):
    """A value of a CompiledQuery that each call gives by its name."""

    def __init__(self, name: str, output_field: Any = None) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        """Return a placeholder, with this object as its value."""
        return "%s", [self]


class IsIn(Func):
    """The condition that a column is one of the values of a list, for filter()."""

    template = "(%(expressions)s))"
    arg_joiner = " = ANY("
    output_field = BooleanField()


class PreparedCursor(psycopg.Cursor[Any]):
    """A cursor whose statements are prepared by the server at their first use in a connection."""

    def _maybe_prepare_gen(self, pgq: Any, **options: Any) -> Any:
        self._query = pgq  # Django's query log reads it.
        yield from super()._maybe_prepare_gen(pgq, **{**options, "prepare": True})


def run_prepared(sql: str, values: Any = None) -> Any:
    """Run a prepared statement and return the cursor.

    Django's error classes, wrappers and query log apply.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    cursor = connection._prepare_cursor(PreparedCursor(connection.connection))  # type: ignore[attr-defined]
    cursor.execute(sql, values)
    return cursor


class _Statement:
    """The SQL of a queryset, and what turns its rows into objects (django.db.models.query.ModelIterable)."""

    def __init__(self, query: Any) -> None:
        self.locks: bool = query.select_for_update
        self.compiler = query.get_compiler(connection=connection)
        self.sql, self.params = self.compiler.as_sql()
        select, about = self.compiler.select, self.compiler.klass_info
        self.converters = self.compiler.get_converters([column[0] for column in select])
        self.model, fields = about["model"], about["select_fields"]
        self.columns = slice(fields[0], fields[-1] + 1)
        self.names = [column[0].target.attname for column in select[self.columns]]
        # The type stubs are those of a later Django.
        self.related = get_related_populators(about, select, connection.alias)  # type: ignore[call-arg]
        self.annotations = list(self.compiler.annotation_col_map.items())


class CompiledQuery(Generic[Row]):
    """A queryset whose SQL is compiled at the first call of each thread.

    build: returns the queryset. Its arguments are the Parameters. It must not depend on anything else that
    can change, such as a setting.
    prepared: False if PostgreSQL must plan each call, because the plan depends on the values.
    """

    def __init__(self, build: Callable[..., QuerySet[Row]], *, prepared: bool = True) -> None:
        self.build, self.prepared = build, prepared
        self.names = list(signature(build).parameters)
        self.stored = threading.local()

    def _compiled(self) -> "_Statement":
        """Return the statement of this thread."""
        kept: _Statement | None = getattr(self.stored, "statement", None)
        if kept is None:
            kept = self.stored.statement = _Statement(self.build(*map(Parameter, self.names)).query)
        return kept

    def _rows(self, values: dict[str, Any]) -> Iterable[Any]:
        statement = self._compiled()
        if statement.locks and not connection.in_atomic_block:
            raise TransactionManagementError("select_for_update cannot be used outside of a transaction.")
        bound = [values[p.name] if isinstance(p, Parameter) else p for p in statement.params]
        if self.prepared:
            cursor = run_prepared(statement.sql, bound)
        else:
            cursor = connection.cursor()
            cursor.execute(statement.sql, bound)
        with cursor:
            rows: Iterable[Any] = cursor.fetchall()
        if rows and statement.converters:
            rows = statement.compiler.apply_converters(rows, statement.converters)
        return rows

    def all(self, **values: Any) -> list[Row]:
        """Return the rows as objects, as Django does, also with select_related and annotations."""
        statement, alias = self._compiled(), connection.alias
        objects = []
        for row in self._rows(values):
            instance = statement.model.from_db(alias, statement.names, row[statement.columns])
            for populator in statement.related:
                populator.populate(row, instance)
            for name, column in statement.annotations:
                setattr(instance, name, row[column])
            objects.append(instance)
        return objects

    def first(self, **values: Any) -> Row | None:
        """Return the first object, or None. The queryset limits itself to one row."""
        return next(iter(self.all(**values)), None)


_INSERTS: dict[tuple[type[Model], tuple[str, ...], int], str] = {}


def insert(instance: Row) -> Row:
    """Insert a new object like save(force_insert=True), and return it. See insert_all."""
    return insert_all([instance])[0]


def insert_all(instances: list[Row]) -> list[Row]:
    """Insert new objects of one model, without Django's signals, and return them.

    The objects get the values that the database set. The statement is built once and prepared. All objects
    must leave the same columns to the database.
    """
    if not instances:
        return instances
    first = instances[0]
    meta = first._meta
    written = [
        field
        for field in meta.concrete_fields
        if not isinstance(value := getattr(first, field.attname), DatabaseDefault)
        and not (field.primary_key and value is None)
    ]
    returned = meta.db_returning_fields  # type: ignore[attr-defined]
    key = (type(first), tuple(field.attname for field in written), len(instances))
    sql = _INSERTS.get(key)
    if sql is None:
        columns = ", ".join(f'"{field.column}"' for field in written)
        row = f"({', '.join(['%s'] * len(written))})"
        back = ", ".join(f'"{field.column}"' for field in returned)
        # The names are those of Django's model.
        sql = f'INSERT INTO "{meta.db_table}" ({columns}) VALUES {", ".join([row] * len(instances))}'  # noqa: S608
        sql = _INSERTS[key] = f"{sql} RETURNING {back}"
    values = [
        field.get_db_prep_save(getattr(instance, field.attname), connection)
        for instance in instances
        for field in written
    ]
    with run_prepared(sql, values) as cursor:
        rows = cursor.fetchall()
    for instance, row in zip(instances, rows, strict=True):
        for field, value in zip(returned, row, strict=True):
            setattr(instance, field.attname, value)
        instance._state.adding, instance._state.db = False, connection.alias
    return instances
