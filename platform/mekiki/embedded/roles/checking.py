"""Check for rights that the application's database role should not have."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

# Members of these roles can run programs, read or write the server's files, or change every table.
POWERFUL = (
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_write_all_data",
    "pg_maintain",
    "pg_create_subscription",
)
MEANINGS = {
    "superuser": _("it is a superuser: it can turn triggers off and run programs on the server"),
    "attributes": _("it may create roles or databases, replicate, or bypass row security"),
    "member": _("it is a member of a powerful role"),
    "owner": _("it owns tables: it can change them and turn their triggers off"),
    "create": _("it may create objects in the database or its schema"),
    "replica": _("it may set session_replication_role, which turns triggers off"),
    "truncate": _("it may empty tables or put triggers on them"),
    "evidence": _("it may change or delete rows of append-only tables"),
}

_OWNS = (
    """
SELECT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace """
    """AND c.relkind IN ('r', 'p')
               AND pg_has_role(%(role)s, c.relowner, 'USAGE'))
"""
)
_QUESTIONS = {
    "superuser": "SELECT rolsuper FROM pg_roles WHERE rolname = %(role)s",
    "attributes": (
        "SELECT rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles "
        "WHERE rolname = %(role)s"
    ),
    "member": (
        """
        SELECT EXISTS (SELECT FROM pg_roles r WHERE r.rolname <> %(role)s """
        """AND pg_has_role(%(role)s, r.oid, 'MEMBER')
            AND (r.rolsuper OR r.rolname = ANY(%(powerful)s::text[]) OR r.oid IN (
                SELECT c.relowner FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace)))
    """
    ),
    "owner": _OWNS,
    "create": """
        SELECT has_schema_privilege(%(role)s, 'public', 'CREATE')
            OR has_database_privilege(%(role)s, current_database(), 'CREATE')
    """,
    "replica": "SELECT has_parameter_privilege(%(role)s, 'session_replication_role', 'SET')",
    "truncate": (
        """
        SELECT EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace """
        """AND c.relkind IN ('r', 'p')
            AND has_table_privilege(%(role)s, c.oid, 'TRUNCATE, TRIGGER'))
    """
    ),
    "evidence": (
        """
        SELECT EXISTS (SELECT FROM unnest(%(evidence)s::text[]) AS t (name) """
        """WHERE to_regclass(t.name) IS NOT NULL
            AND has_table_privilege(%(role)s, to_regclass(t.name), 'UPDATE, DELETE'))
    """
    ),
}


@dataclass(frozen=True)
class Excess:
    """A right that the application's role should not have. `code` is a key of MEANINGS."""

    code: str

    def __str__(self) -> str:
        return str(MEANINGS[self.code])


def is_owner(cursor: Any, role: str) -> bool:
    """Return whether `role` owns tables of the schema, directly or as a member of their owner."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    if cursor.fetchone() is None:
        return False
    cursor.execute(_OWNS, {"role": role})
    return bool(cursor.fetchone()[0])


def excesses(cursor: Any, evidence: list[str]) -> list[Excess]:
    """Return the rights that the role of this connection should not have.

    `evidence` lists the append-only tables.
    """
    cursor.execute("SELECT current_user")
    values = {"role": cursor.fetchone()[0], "powerful": list(POWERFUL), "evidence": evidence}
    excesses = []
    for code, question in _QUESTIONS.items():
        cursor.execute(question, values)
        if cursor.fetchone()[0]:
            excesses.append(Excess(code))
            if code == "superuser":  # a superuser has all other rights too
                break
    return excesses
