"""A running platform for other programs: the demo, the replay and browser tests."""

import contextlib
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from mekiki.config import env as environment
from mekiki.embedded import endpoints, places
from mekiki.embedded.process import last_lines, process_group, process_of_pid_file
from mekiki.embedded.secrets import make_home
from mekiki.embedded.supervisor.children import child_environment


class PlatformError(CommandError):
    """The platform did not start.

    A quiet platform wrote its output to a log, and the message contains the end of that log. A command prints
    the message without a traceback.
    """


class Platform:
    """`mekiki up` as a child process, ready when `start` (or the `with` block) returns.

    Port 0 chooses a free port. Without `web` nothing listens and `url` is empty. `env` is added to the
    environment of the children. DATABASE_URL and BROKER_URL, from `env` or from our environment, replace the
    embedded servers. An empty value in `env` selects the embedded servers. `admin` is the name and password
    of the first admin if the home was empty. When this process ends, for whatever reason, the platform stops
    in order.

    After the start these are available: `url`, `home`, `pid`, `env` (the whole environment for child
    processes: ours with MEKIKI_HOME, DATABASE_URL, BROKER_URL …), `database_url`, `broker_url`, `pids()`,
    `connect()`.
    """

    def __init__(
        self,
        home: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        web: bool = True,
        worker: bool = True,
        beat: bool = True,
        quiet: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float = 600.0,
    ) -> None:
        self.home = Path(home).expanduser().resolve()
        self.host, self.port, self.quiet, self.timeout = host, port, quiet, timeout
        self.parts = {"web": web, "worker": worker, "beat": beat}
        self.extra = dict(env or {})
        given = environment.child_environment(self.extra)
        self.admin = (
            given.get("MEKIKI_ADMIN_NAME") or "admin",
            given.get("MEKIKI_ADMIN_PASSWORD") or secrets.token_urlsafe(16),
        )
        self.url = self.database_url = self.broker_url = ""
        self.env: dict[str, str] = {}
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the supervisor, or 0 before the start."""
        return self.child.pid if self.child else 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the platform and wait until it is ready: with `web`, until its first page responds.

        Raises PlatformError if it does not start.
        """
        given = environment.child_environment(self.extra)
        variables = child_environment(self.home, given.get("DATABASE_URL", ""), given.get("BROKER_URL", ""))
        variables.update(self.extra)
        owner = given.get("DATABASE_OWNER_URL", "") if variables["DATABASE_URL"] else ""
        variables.update(MEKIKI_ADMIN_NAME=self.admin[0], MEKIKI_ADMIN_PASSWORD=self.admin[1])
        command = [sys.executable, "-m", "mekiki", "up", "--host", self.host, "--port", str(self.port)]
        command += [f"--no-{part}" for part, wanted in self.parts.items() if not wanted]
        log = make_home(self.home) / "logs" / "up.log"
        log.parent.mkdir(mode=0o700, exist_ok=True)
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output if self.quiet else None,
                stderr=output if self.quiet else None,
                env={**variables, "DATABASE_OWNER_URL": owner},
                # Ctrl-C in the terminal reaches only this process, which then stops the platform in order.
                preexec_fn=process_group(signal.SIGTERM),
            )
        deadline = time.monotonic() + self.timeout
        while (current := endpoints.read(self.home)).pid != self.child.pid:
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                text = _("Mekiki did not start on %(home)s.") % {"home": self.home}
                raise PlatformError("\n".join([text, *last_lines(log)]))
            time.sleep(0.05)
        self.url, self.database_url, self.broker_url = (
            current.web_url,
            current.database_url,
            current.broker_url,
        )
        self.env = {**variables, "DATABASE_URL": self.database_url, "BROKER_URL": self.broker_url}
        del self.env["MEKIKI_ADMIN_PASSWORD"]
        return self

    def stop(self, grace: float = 60.0) -> None:
        """Stop everything in order and wait for the end. Kill the supervisor after `grace` seconds."""
        if self.child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.child.terminate()
        try:
            self.child.wait(grace)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def discard(self) -> None:
        """Stop, and delete the home with its database, for trials and tests.

        For root the database lies outside the home.
        """
        self.stop()
        places.delete_database(self.home / "postgres")
        shutil.rmtree(self.home, ignore_errors=True)

    def alive(self) -> bool:
        """Return whether the supervisor runs."""
        return self.child is not None and self.child.poll() is None

    def wait(self) -> int:
        """Wait until the supervisor ends, and return its exit status.

        Ctrl-C raises KeyboardInterrupt here.
        """
        assert self.child is not None
        return self.child.wait()

    def pids(self) -> dict[str, int]:
        """Return name → process id of the processes that run now: postgres, valkey, web, worker …"""
        processes = {file.stem: process_of_pid_file(file) for file in (self.home / "run").glob("*.pid")}
        return {name: process.pid for name, process in processes.items() if process is not None}

    def connect(self) -> None:
        """Connect Django and Celery of this process to the platform's servers."""
        endpoints.use_servers(endpoints.Endpoints(self.database_url, self.broker_url, self.url, self.pid))
