"""A check whether a server responds, without waiting for the response."""

import threading
import time
from typing import Protocol

import psycopg

from mekiki.config.plain import UserError

# Seconds between two requests to a server that does not respond yet.
ASK_SECONDS = 0.5


class Pingable(Protocol):
    """The interface of a server with a response check: PostgreSQL and Valkey implement it."""

    @property
    def pid(self) -> int: ...

    def ask(self) -> None: ...


class Probe:
    """A check of one server, in a separate thread.

    A server that hangs (SIGSTOP, a slow disk) therefore does not delay the supervisor.
    """

    def __init__(self, server: Pingable) -> None:
        self._server = server
        self._thread: threading.Thread | None = None
        self._asked = float("-inf")
        self._answered = -1  # the process id that responded last

    def answers(self) -> bool:
        """Return whether the current process of the server has responded.

        If no request is running, start the next request.
        """
        if self._answered == self._server.pid:
            return True
        waiting = self._thread is not None and self._thread.is_alive()
        if not waiting and time.monotonic() - self._asked >= ASK_SECONDS:
            self._asked = time.monotonic()
            self._thread = threading.Thread(target=self._ask, args=(self._server.pid,), daemon=True)
            self._thread.start()
        return False

    def _ask(self, pid: int) -> None:
        try:
            self._server.ask()
        except (UserError, OSError, psycopg.Error):
            return
        self._answered = pid
