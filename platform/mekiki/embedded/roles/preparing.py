"""Creation of the roles and the database of the embedded server, as its superuser."""

from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from mekiki.embedded.roles import APPLICATION, DATABASE, OWNER, REPORT

# The roles may only log in. They may not create databases or roles, copy the server's files, or bypass row
# security.
ATTRIBUTES: LiteralString = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
# Selects objects that do not belong to the owner. In a home that is older than the roles, these are all
# objects.
OBJECTS_OF_OTHER_ROLES = (
    """
SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass::text
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v')
    AND pg_get_userbyid(c.relowner) <> %(owner)s
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype IN ('e', 'i', 'a'))
UNION ALL
SELECT 'FUNCTION', p.oid::regprocedure::text
FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND pg_get_userbyid(p.proowner) <> %(owner)s
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid """
    """AND d.deptype = 'e')
"""
)


def prepare_server(connection: psycopg.Connection[Any], passwords: dict[str, str]) -> None:
    """Create the roles and the database.

    The connection is a superuser's connection to any database, in autocommit mode.
    """
    for role in (OWNER, APPLICATION, REPORT):
        if not _exists(connection, role):
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        _set_login(connection, role, passwords[role])
    connection.execute(
        sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(REPORT))
    )
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
        )


def prepare_database(connection: psycopg.Connection[Any]) -> int:
    """Make the owner role own the database and its objects, and return the number of changed objects.

    The connection is the superuser's connection to this database.
    """
    database = sql.Identifier(connection.info.dbname)
    owner, application, report = map(sql.Identifier, (OWNER, APPLICATION, REPORT))
    with connection.transaction():
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        connection.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, application)
        )
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, report))
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        foreign = connection.execute(OBJECTS_OF_OTHER_ROLES, {"owner": OWNER}).fetchall()
        for kind, name in foreign:  # both values come from the system catalogue and are already quoted
            connection.execute(sql.SQL("ALTER " + kind + " " + name + " OWNER TO {}").format(owner))
    return len(foreign)


def make_application_role(owner_url: str, application_url: str) -> bool:
    """Create the role that `application_url` names, with its password, and return whether it was created.

    Nothing happens if the role exists, or if the owner may not create roles.
    """
    wanted = conninfo_to_dict(application_url)
    role, password = str(wanted.get("user") or ""), str(wanted.get("password") or "")
    if not role or not password:
        return False
    with psycopg.connect(owner_url, autocommit=True) as connection:
        may = connection.execute(
            "SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        if _exists(connection, role) or not (may and may[0]):
            return False
        with connection.transaction():
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            _set_login(connection, role, password)
            connection.execute(
                sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                    sql.Identifier(connection.info.dbname), sql.Identifier(role)
                )
            )
    return True


def _exists(connection: psycopg.Connection[Any], role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


def _set_login(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    """Allow the role to log in with this password, and give it no other attributes."""
    # The password is sent as a hash, because the server writes a failing statement to its log.
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("ALTER ROLE {} WITH " + ATTRIBUTES + " PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(verifier)
        )
    )
