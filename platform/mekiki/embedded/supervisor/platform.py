"""A running platform for other programs: the demo, the replay, browser tests."""

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
from mekiki.embedded.process import last_lines, process_group, remembered
from mekiki.embedded.secrets import make_home
from mekiki.embedded.supervisor.children import child_environment


class PlatformError(CommandError):
    """The platform did not start; when it was quiet the message carries what it said. A command shows it plainly."""


class Platform:
    """`mekiki up` as a child process, ready when `start` (or the `with` block) returns.

    port 0 is a free port; without `web` nothing listens and `url` is empty. `env` is added to the children's environment; DATABASE_URL and BROKER_URL given
    there or in ours replace the embedded servers, and an empty text insists on the embedded ones.
    `admin` is the name and password of the first admin if the home was empty. When this process dies,
    however it dies, the platform stops in order.

    After the start: `url`, `home`, `pid`, `env` (the whole environment for child processes: ours with
    MEKIKI_HOME, DATABASE_URL, BROKER_URL …), `database_url`, `broker_url`, `pids()`, `connect()`.
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
        timeout: float = 120.0,
    ) -> None:
        self.home = Path(home).expanduser().resolve()
        self.host, self.port, self.quiet, self.timeout = host, port, quiet, timeout
        self.parts = {"web": web, "worker": worker, "beat": beat}
        self.extra = dict(env or {})
        given = environment.inherited(self.extra)
        self.admin = (
            given.get("MEKIKI_ADMIN_NAME") or "admin",
            given.get("MEKIKI_ADMIN_PASSWORD") or secrets.token_urlsafe(16),
        )
        self.url = self.database_url = self.broker_url = ""
        self.env: dict[str, str] = {}
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The supervisor's process id; 0 before the start."""
        return self.child.pid if self.child else 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start and wait until it is ready: with `web`, its first page answers. PlatformError says what went wrong."""
        given = environment.inherited(self.extra)
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
                # Ctrl-C in the terminal reaches this process alone, which then stops the platform in order.
                preexec_fn=process_group(signal.SIGTERM),
            )
        deadline = time.monotonic() + self.timeout
        while (found := endpoints.read(self.home)).pid != self.child.pid:
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                text = _("Mekiki did not start on %(home)s.") % {"home": self.home}
                raise PlatformError("\n".join([text, *last_lines(log)]))
            time.sleep(0.05)
        self.url, self.database_url, self.broker_url = found.web_url, found.database_url, found.broker_url
        self.env = {**variables, "DATABASE_URL": self.database_url, "BROKER_URL": self.broker_url}
        del self.env["MEKIKI_ADMIN_PASSWORD"]
        return self

    def stop(self, grace: float = 60.0) -> None:
        """Stop everything in order and wait for the end."""
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
        """Stop, and delete the home with its database (which root keeps elsewhere): for trials and tests."""
        self.stop()
        places.discard(self.home / "postgres")
        shutil.rmtree(self.home, ignore_errors=True)

    def alive(self) -> bool:
        """Does the supervisor run?"""
        return self.child is not None and self.child.poll() is None

    def wait(self) -> int:
        """Wait until the supervisor ends (Ctrl-C raises KeyboardInterrupt here); its exit status."""
        assert self.child is not None
        return self.child.wait()

    def pids(self) -> dict[str, int]:
        """The processes that run now: postgres, valkey, web, worker, sweeper, beat → process id."""
        found = {file.stem: remembered(file) for file in (self.home / "run").glob("*.pid")}
        return {name: process.pid for name, process in found.items() if process is not None}

    def connect(self) -> None:
        """Point this process's Django and Celery at the platform's servers."""
        endpoints.connect(endpoints.Endpoints(self.database_url, self.broker_url, self.url, self.pid))
