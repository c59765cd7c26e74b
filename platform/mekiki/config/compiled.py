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
from django.db import DEFAULT_DB_ALIAS, connection, connections
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
    # Each use of the proxy `connection` looks the connection of this thread up again.
    database: Any = connections[DEFAULT_DB_ALIAS]
    database.close_if_health_check_failed()
    database.ensure_connection()
    plain = PreparedCursor(database.connection)
    if database.execute_wrappers or database.queries_logged:
        cursor = database._prepare_cursor(plain)
        cursor.execute(sql, values)
        return cursor
    # What Django's cursor does, without its layers.
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        plain.execute(sql, values)
    return plain


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

    def with_constants(self, constants: dict[str, int]) -> tuple[str, list[Any]]:
        """Return the SQL with these values in its text, and the other parameters."""
        pieces = self.sql.split("%s")
        sql, params = pieces[0], []
        for param, piece in zip(self.params, pieces[1:], strict=True):
            constant = constants.get(param.name) if isinstance(param, Parameter) else None
            if constant is None:
                params.append(param)
            sql += ("%s" if constant is None else f"{constant:d}") + piece
        return sql, params


class CompiledQuery(Generic[Row]):
    """A queryset whose SQL is compiled at the first call of each thread.

    build: returns the queryset. Its arguments are the Parameters. It must not depend on anything else that
    can change, such as a setting.
    constants: names of Parameters that are integers and become part of the text, because the plan depends on
    them. Each combination of their values is a statement of its own, so they must have few values.
    """

    def __init__(self, build: Callable[..., QuerySet[Row]], *, constants: tuple[str, ...] = ()) -> None:
        self.build, self.constants = build, constants
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
        sql, params = statement.sql, statement.params
        if self.constants:
            sql, params = statement.with_constants({name: int(values[name]) for name in self.constants})
        bound = [values[p.name] if isinstance(p, Parameter) else p for p in params]
        with run_prepared(sql, bound) as cursor:
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
