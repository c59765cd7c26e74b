"""Queries that each thread compiles once, and that PostgreSQL plans once for each connection.

Django builds the SQL of a queryset anew for each call. For the short queries of the review this takes longer
than PostgreSQL needs to run them. A CompiledQuery keeps the SQL, and only the values differ from call to call
(docs/decisions/0034).
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

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
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

    def _compiled(self) -> tuple[Any, str, list[Any], bool]:
        """Return the compiler of this thread, the SQL, its parameters, and whether it locks rows."""
        kept = getattr(self.stored, "compiled", None)
        if kept is None:
            query = self.build(*map(Parameter, self.names)).query
            compiler = query.get_compiler(connection=connection)
            sql, params = compiler.as_sql()
            kept = self.stored.compiled = (compiler, sql, list(params), query.select_for_update)
        return kept

    def _rows(self, values: dict[str, Any]) -> tuple[Any, Iterable[Any]]:
        compiler, sql, params, locks = self._compiled()
        if locks and not connection.in_atomic_block:
            raise TransactionManagementError("select_for_update cannot be used outside of a transaction.")
        bound = [values[p.name] if isinstance(p, Parameter) else p for p in params]
        if self.prepared:
            cursor = run_prepared(sql, bound)
        else:
            cursor = connection.cursor()
            cursor.execute(sql, bound)
        try:
            return compiler, compiler.results_iter([cursor.fetchall()])
        finally:
            cursor.close()

    def all(self, **values: Any) -> list[Row]:
        """Return the rows as objects, as Django does, also with select_related and annotations."""
        compiler, rows = self._rows(values)
        select, about = compiler.select, compiler.klass_info
        start, end = about["select_fields"][0], about["select_fields"][-1] + 1
        names = [column[0].target.attname for column in select[start:end]]
        related = get_related_populators(about, select, connection.alias)
        objects = []
        for row in rows:
            instance = about["model"].from_db(connection.alias, names, row[start:end])
            for populator in related:
                populator.populate(row, instance)
            for name, column in compiler.annotation_col_map.items():
                setattr(instance, name, row[column])
            objects.append(instance)
        return objects

    def first(self, **values: Any) -> Row | None:
        """Return the first object, or None. The queryset limits itself to one row."""
        return next(iter(self.all(**values)), None)

    def tuples(self, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a queryset with values_list() as tuples."""
        return [tuple(row) for row in self._rows(values)[1]]


_INSERTS: dict[tuple[type[Model], tuple[str, ...]], str] = {}


def insert(instance: Row) -> Row:
    """Insert a new object, without Django's signals, and return it with the values that the database set.

    Like save(force_insert=True), but the statement is compiled once and prepared.
    """
    meta = instance._meta
    written = [
        field
        for field in meta.concrete_fields
        if not isinstance(value := getattr(instance, field.attname), DatabaseDefault)
        and not (field.primary_key and value is None)
    ]
    returned = meta.db_returning_fields  # type: ignore[attr-defined]
    key = (type(instance), tuple(field.attname for field in written))
    sql = _INSERTS.get(key)
    if sql is None:
        columns = ", ".join(f'"{field.column}"' for field in written)
        places = ", ".join(["%s"] * len(written))
        back = ", ".join(f'"{field.column}"' for field in returned)
        # The names are those of Django's model.
        sql = f'INSERT INTO "{meta.db_table}" ({columns}) VALUES ({places}) RETURNING {back}'  # noqa: S608
        _INSERTS[key] = sql
    values = [field.get_db_prep_save(getattr(instance, field.attname), connection) for field in written]
    cursor = run_prepared(sql, values)
    try:
        for field, value in zip(returned, cursor.fetchone(), strict=True):
            setattr(instance, field.attname, value)
    finally:
        cursor.close()
    instance._state.adding, instance._state.db = False, connection.alias
    return instance
