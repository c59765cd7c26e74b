"""Asking a server whether it answers, without waiting for it."""

import threading
import time
from typing import Protocol

import psycopg

from mekiki.config.plain import PlainError

# A server that was started again is asked this often.
ASK_SECONDS = 0.5


class Answering(Protocol):
    """A server that can be asked: PostgreSQL and Valkey."""

    @property
    def pid(self) -> int: ...

    def ask(self) -> None: ...


class Probe:
    """Asks in a thread of its own: a server that hangs (SIGSTOP, a slow disk) delays nothing else in the supervisor."""

    def __init__(self, server: Answering) -> None:
        self._server = server
        self._thread: threading.Thread | None = None
        self._asked = float("-inf")
        self._answered = -1  # the process id that answered last

    def answers(self) -> bool:
        """Return whether the process that runs now has answered; begin to ask it when nothing is asked."""
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
        except (PlainError, OSError, psycopg.Error):
            return
        self._answered = pid
