"""The supervisor: one thread with one loop. Its children do not outlive it."""

import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import connections
from django.utils.translation import gettext as _

from mekiki.config import disk, env
from mekiki.config.plain import UserError
from mekiki.embedded import endpoints, identity, state
from mekiki.embedded.ballast import ReserveFile
from mekiki.embedded.leftovers import terminate_stale_process
from mekiki.embedded.lock import HomeLock, not_writable_message
from mekiki.embedded.memory import out_of_memory_kills
from mekiki.embedded.postgres import Postgres
from mekiki.embedded.process import last_lines, rotate
from mekiki.embedded.secrets import make_home
from mekiki.embedded.supervisor import children, first
from mekiki.embedded.supervisor.child import REPORT_LOG_AFTER_EXITS, Child
from mekiki.embedded.supervisor.console import Console
from mekiki.embedded.supervisor.listener import http_status, listen, reachable_host
from mekiki.embedded.valkey import Valkey

if TYPE_CHECKING:
    from mekiki.learning.search.keeper import IndexBuilder

POLL_SECONDS = 0.1
ROTATE_SECONDS = 10.0
DISK_SECONDS = 2.0
# After a crash, PostgreSQL first replays its log, which takes minutes on a slow disk.
PATIENCE_SECONDS = 600.0
STOP_ORDER = ("beat", "sweeper", "search", "worker", "web", "valkey", "postgres")


class SupervisorError(UserError):
    """The platform cannot run. The message says why and what to do."""


class _StopRequested(Exception):
    """Ctrl-C, Ctrl-D or SIGTERM arrived during the start."""


class Supervisor:
    """The supervisor of one home.

    `run` returns an exit status. It must be called in the main thread, because it handles signals.
    """

    def __init__(
        self,
        *,
        home: Path,
        host: str,
        port: int,
        web: bool = True,
        worker: bool = True,
        beat: bool = True,
    ) -> None:
        self.home, self.host, self.port = home, host, port
        self.with_web, self.with_worker, self.with_beat = web, worker, beat
        try:
            for name in ("run", "logs"):
                (make_home(home) / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as problem:
            raise UserError(not_writable_message(home, problem)) from None
        self.console = Console(home / "logs" / "mekiki.log")
        # Removed from the environment before any child starts.
        self.admin_password = env.pop("MEKIKI_ADMIN_PASSWORD")
        self.running: list[Child] = []
        self.stop_requested = False
        self.waiting_for_input = False  # the program waits for input, and a signal must end the wait
        self.stopping: Child | None = None
        self.listener: socket.socket | None = None
        self.url = ""
        self.keeper: IndexBuilder | None = None
        self._memory_kills: int | None = None
        self._ballast: ReserveFile | None = None
        self._shortage = ""

    # --- Main sequence --------------------------------------------------------------------------------------

    def run(self) -> int:
        """Start everything, watch until a stop is requested, stop everything, and return the exit status.

        Raises PlainError if the home or the address cannot be used.
        """
        with HomeLock(self.home) as lock:
            moved = identity.check_identity(self.home)
            # Processes of an earlier run may still hold the port.
            left = self._end_leftovers()
            if self.with_web:
                self.listener = listen(self.host, self.port, patience=10.0 if left else 0.0)
                self.port = self.listener.getsockname()[1]
                self.url = f"http://{reachable_host(self.host)}:{self.port}/"
            lock.describe(self.url)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
                    signal.signal(number, self._on_signal)
            status = 0
            if moved:
                self.console.warn(moved)
            if os.geteuid() == 0:
                self.console.warn(first.root_warning())
            try:
                self._start()
                self._watch()
            except _StopRequested:
                pass
            except (
                UserError,
                ValidationError,
                OSError,
            ) as problem:
                self.console.bad(
                    " ".join(problem.messages) if isinstance(problem, ValidationError) else str(problem)
                )
                status = 1
            finally:
                self._stop()
            return status

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.stop_requested and self.stopping is not None and self.stopping.name == "worker":
            # This is the second request to stop. The job that the worker is working on resumes at the next
            # start.
            with contextlib.suppress(OSError):
                os.killpg(self.stopping.server.pid, signal.SIGKILL)
        self.stop_requested = True
        if self.waiting_for_input:
            self.waiting_for_input = False  # A further signal must not interrupt the stop.
            raise _StopRequested

    def _raise_if_stop_requested(self) -> None:
        if self.stop_requested:
            raise _StopRequested

    # --- Starting -------------------------------------------------------------------------------------------

    def _end_leftovers(self) -> bool:
        """End processes of an earlier run that was killed, and return whether there were any."""
        ended = False
        for name in ("beat", "sweeper", "search", "worker", "web"):
            if pid := terminate_stale_process(self.home / "run" / f"{name}.pid", home=self.home):
                ended = True
                text = _("Ended a process of an earlier run: %(name)s (process %(pid)s).")
                self.console.warn(text % {"name": name, "pid": pid})
        return ended

    def _start(self) -> None:
        began = time.monotonic()
        self.console.head(_("Mekiki on %(home)s") % {"home": self.home})
        postgres = None if env.text("DATABASE_URL") else Postgres(self.home / "postgres")
        valkey = None if env.text("BROKER_URL") else Valkey(self.home / "valkey")
        if postgres and (self.home / "postgres").exists():
            self._ballast = ReserveFile((self.home / "postgres").resolve(), disk.reserve_bytes())
            self._ballast.adjust()  # on a full disk, the database needs this space to start
        # Servers start in parallel, because their addresses are known before they respond.
        if valkey:
            valkey.launch()
            self.running.append(Child("valkey", valkey))
        if postgres:
            postgres.launch()
            self._ballast = self._ballast or ReserveFile(
                (self.home / "postgres").resolve(), disk.reserve_bytes()
            )
            self.running.append(Child("postgres", postgres))
        self.endpoints = endpoints.Endpoints(
            database_url=postgres.url if postgres else env.text("DATABASE_URL"),
            broker_url=valkey.url if valkey else env.text("BROKER_URL"),
            web_url=self.url,
            pid=os.getpid(),
        )
        environment = children.child_environment(
            self.home, self.endpoints.database_url, self.endpoints.broker_url
        )
        web = None
        if self.listener:
            web = Child("web", children.web(self.home, environment, self.listener))
            web.server.start()
            self.running.append(web)
        for child in self.running:
            if isinstance(child.server, Postgres | Valkey):
                child.server.wait_ready(PATIENCE_SECONDS, self._raise_if_stop_requested)
                child.runs()
                self.console.ok(
                    _("%(title)s (process %(pid)s)") % {"title": child.title, "pid": child.server.pid}
                )
            self._raise_if_stop_requested()
        owner_url = postgres.owner_url if postgres else env.text("DATABASE_OWNER_URL")
        owner_url = owner_url or self.endpoints.database_url
        changed = first.migrate(self.console, self.endpoints, owner_url)
        first.update_moved_paths()
        if self.with_worker and children.worker_installed():
            first.create_signing_key(self.console)
        self._raise_if_stop_requested()
        self.waiting_for_input = True
        try:
            first.first_admin(self.console, self.admin_password)
        except EOFError:  # Ctrl-D at the prompt
            raise _StopRequested from None
        finally:
            self.waiting_for_input = False
        connections.close_all()
        self.console.ok(_("Database ready") if changed else _("Database up to date"))
        if web:
            self._wait_for_web(web)
        if owner_url != self.endpoints.database_url:
            self._keep_indexes(owner_url)
        self._start_workers(environment)
        endpoints.write(self.home, self.endpoints)
        text = (
            _("Open %(url)s  (ready in %(seconds).1f s; logs in %(logs)s; Ctrl-C stops everything in order)")
            if web
            else _(
                "Ready in %(seconds).1f s, without pages; logs in %(logs)s; Ctrl-C stops everything in order"
            )
        )
        facts = {"url": self.url, "seconds": time.monotonic() - began, "logs": self.home / "logs"}
        self.console.head(text % facts)

    def _keep_indexes(self, owner_url: str) -> None:
        """Build search indexes in this process, with the owner's connection, which no child has."""
        from mekiki.learning.search.keeper import IndexBuilder

        self.keeper = IndexBuilder(owner_url, self.console.warn)
        self.keeper.start()

    def _wait_for_web(self, web: Child) -> None:
        deadline = time.monotonic() + 60
        while not (status := http_status(self.host, self.port)):
            self._raise_if_stop_requested()
            if not web.server.alive() or time.monotonic() > deadline:
                raise SupervisorError(self._with_log_end(web, _("The web server did not start.")))
            time.sleep(0.05)
        web.runs()
        self.console.ok(_("Web %(url)s (process %(pid)s)") % {"url": self.url, "pid": web.server.pid})
        if status >= 500:
            text = _("The first page answers with error %(status)s. See %(log)s.")
            self.console.warn(text % {"status": status, "log": web.server.log})

    def _start_workers(self, environment: dict[str, str]) -> None:
        if self.with_worker and not children.worker_installed():
            self.console.warn(_("The worker is not installed: pages work, jobs wait."))
            self.console.warn(_("Install it with: pip install 'mekiki[workers]'"))
            return  # without a worker there is no schedule either: its messages would pile up
        if self.with_worker:
            self._launch(Child("worker", children.worker(self.home, environment)))
            self._launch(Child("search", children.search(self.home, environment)))
        else:
            self.console.warn(_("No worker runs here: jobs wait until a worker runs on another machine."))
        if self.with_beat:
            self._launch(Child("sweeper", children.sweeper(self.home, environment)))
            self._launch(Child("beat", children.beat(self.home, environment)))

    def _launch(self, child: Child) -> None:
        self.running.append(child)
        self._restart(child)

    # --- Watching -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        rotated = looked = time.monotonic()
        self._check_disk()
        self._memory_kills = out_of_memory_kills()
        self._write_state()
        while not self.stop_requested:
            now = time.monotonic()
            for child in self.running:
                self._check_child(child, now)
            if now - looked > DISK_SECONDS:
                looked = now
                self._check_disk()
            if now - rotated > ROTATE_SECONDS:
                rotated = now
                for child in self.running:
                    rotate(child.server.log)
            time.sleep(POLL_SECONDS)

    def _check_child(self, child: Child, now: float) -> None:
        if child.phase == state.WAITING:
            if now >= child.next_start:
                self._restart(child)
        elif not child.server.alive():
            self._handle_exit(child)
        elif child.phase == state.STARTING and child.answers():
            self._handle_running(child)

    def _check_disk(self) -> None:
        """Check the disk: delete or create the ballast file, and report a shortage or its end.

        After the end of a shortage, waiting children start at once.
        """
        if self._ballast and self._ballast.adjust() == "given up":
            self.console.warn(_("The disk is full. Disk space reserved for the database was released."))
        before, self._shortage = self._shortage, disk.shortage_reason()
        for child in self.running:
            if isinstance(child.server, Valkey):
                child.server.keep_messages(not self._shortage)
        if before == self._shortage:
            return
        texts = {
            disk.FULL: _(
                "The disk is nearly full: less than %(reserve)s MB is free. Imports, trainings and label "
                "sets wait."
            )
            % {"reserve": disk.reserve_bytes() >> 20},
            disk.READ_ONLY: _(
                "A folder of the home cannot be written. Imports, trainings and label sets wait."
            ),
        }
        if self._shortage:
            self.console.warn(texts[self._shortage])
            return
        self.console.ok(_("There is free space on the disk again. Everything continues."))
        for child in self.running:
            child.make_due()

    def _handle_exit(self, child: Child, error: str = "") -> None:
        """Report the end of a child and the time of its next start.

        The other children continue, whatever ended and however often.
        """
        pause = child.ended(error=error, memory=self._ended_for_memory())
        text = _("%(title)s died (%(how)s). Starting it again in %(pause).1f s …")
        facts = {"title": child.title, "how": state.exit_text(child.last_exit), "pause": pause}
        self.console.warn(text % facts)
        if child.consecutive_exits == REPORT_LOG_AFTER_EXITS:
            text = _(
                "%(title)s ended %(count)s times in a row. The other processes continue, and it is "
                "restarted every 30 seconds; no stored data is lost."
            )
            self.console.bad(
                self._with_log_end(child, text % {"title": child.title, "count": REPORT_LOG_AFTER_EXITS})
            )
        self._write_state()

    def _ended_for_memory(self) -> bool | None:
        """Return whether the kernel has killed a process for lack of memory since the last check.

        Returns None on a system that does not count such kills.
        """
        before, self._memory_kills = self._memory_kills, out_of_memory_kills()
        if before is None or self._memory_kills is None:
            return None
        return self._memory_kills > before

    def _restart(self, child: Child) -> None:
        try:
            child.begin()
            if isinstance(child.server, Postgres | Valkey):
                child.server.launch()  # does not wait: `_look_at` checks later whether the server responds
            else:
                child.server.start()
                self._handle_running(child)
        except (UserError, OSError) as problem:
            self._handle_exit(child, str(problem))

    def _handle_running(self, child: Child) -> None:
        again = child.restarts > 0
        child.runs()
        text = _("%(title)s runs again (process %(pid)s)") if again else _("%(title)s (process %(pid)s)")
        self.console.ok(text % {"title": child.title, "pid": child.server.pid})
        if isinstance(child.server, Postgres | Valkey):
            for other in self.running:
                other.make_due()
        self._write_state()

    def _write_state(self) -> None:
        state.write(self.home, {child.name: child.record() for child in self.running})

    def _with_log_end(self, child: Child, text: str) -> str:
        lines = "\n".join(f"    {line}" for line in last_lines(child.server.log))
        return f"{text}\n" + _("The end of %(log)s:") % {"log": child.server.log} + f"\n{lines}"

    # --- Stopping -------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Stop all children in order: first the sources of new work, then the workers, last the servers."""
        self.stop_requested = True
        endpoints.remove(self.home)
        state.write(self.home, {})
        connections.close_all()
        if self.running:
            self.console.head(_("Stopping …"))
        if self.keeper is not None:
            self.keeper.stop()
        for child in sorted(self.running, key=lambda c: STOP_ORDER.index(c.name)):
            self.stopping = child
            child.server.stop()
            self.console.ok(_("%(title)s stopped") % {"title": child.title})
        self.stopping = None
        if self.listener:
            self.listener.close()
