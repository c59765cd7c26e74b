"""How long a request waits for the broker, without a measurement of time."""

import socket
from collections.abc import Callable
from typing import Any

import pytest


class SocketWaits:
    """The timeouts of sockets that ran out in this process. Only the client of the broker uses such sockets.

    A busy machine makes a request slower, but it does not change these timeouts.
    """

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def record(self, seconds: float | None) -> None:
        """Record a timeout that ran out."""
        self._seconds.append(float("inf") if seconds is None else seconds)

    def during(self, work: Callable[[], object]) -> float:
        """Run `work` and return the seconds that it waited for a server that did not answer."""
        self._seconds.clear()
        work()
        return sum(self._seconds)


@pytest.fixture
def socket_waits(monkeypatch: pytest.MonkeyPatch) -> SocketWaits:
    """Record the waits on sockets. The pause after a failed message does not end during the test."""
    # Here, because pytest reads this file before tests/conftest.py has set the database.
    from mekiki.jobs import broker

    waits = SocketWaits()

    def record(name: str) -> None:
        original = getattr(socket.socket, name)

        def call(self: socket.socket, *arguments: Any) -> Any:
            try:
                return original(self, *arguments)
            except TimeoutError:
                waits.record(self.gettimeout())
                raise

        monkeypatch.setattr(socket.socket, name, call)

    for name in ("connect", "sendall", "recv", "recv_into"):
        record(name)
    monkeypatch.setattr(broker, "PAUSE_AFTER_FAILURE", 3600.0)
    return waits
