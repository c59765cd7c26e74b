"""gunicorn's worker with an event loop, and what it lacks against slow clients: deadlines and a bound on connections."""

import asyncio
import contextlib
import resource
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from mekiki.config.server import limits

# After an answer, a client has this long to take what is left in our buffer.
LINGER_SECONDS = 10.0


class SiteProtocol(ASGIProtocol):  # type: ignore[misc]
    """One connection. Its request heads arrive in time and within bounds, or it is closed.

    gunicorn itself has a deadline for the second request of a connection (keep-alive), none for the first.
    """

    def connection_made(self, transport: Any) -> None:
        """Begin the deadline of the first head; make room when there are too many connections."""
        super().connection_made(transport)
        self.head_bytes = 0
        self.deadline = self.worker.loop.call_later(limits.HEAD_SECONDS, self.head_late)
        # In the order in which they came: the first is the oldest.
        self.worker.connections[self] = None
        if len(self.worker.connections) > limits.CONNECTIONS:
            self.worker.make_room()

    @property
    def waiting(self) -> bool:
        """Has it no complete head that is being answered?"""
        return not self._request_ready.is_set()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head before the parser sees them."""
        if self.waiting:
            self.head_bytes += len(data)
            # The rest of the same packet may be body, at most as much as one read of the loop.
            if self.head_bytes > limits.HEAD_BYTES and b"\r\n\r\n" not in data:
                self._send_error_response(431, "Request header fields too large")
                self.end()
                return
        super().data_received(data)
        if not self.waiting:
            self.head_bytes = 0
            self.deadline.cancel()

    def head_late(self) -> None:
        """Close a connection whose first head has not arrived."""
        if self.waiting:
            self.end()

    def end(self) -> None:
        """Close now, whether the client reads or not."""
        self._close_transport()
        # Wakes the task of the connection, which sees that it is closed.
        self._request_ready.set()
        if self.transport is not None:
            self.transport.abort()

    def _close_transport(self) -> None:
        """Close when what is written has been read, at the latest after LINGER_SECONDS."""
        super()._close_transport()
        if self.transport is not None and not self._conn_lost_handled:
            self.worker.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self.deadline.cancel()
        self.worker.connections.pop(self, None)
        super().connection_lost(exc)


class SiteWorker(gasgi.ASGIWorker):  # type: ignore[misc]
    """The worker process of the site."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connections: dict[SiteProtocol, None] = {}

    def init_process(self) -> None:
        """Allow as many open files as the system does, then serve."""
        with contextlib.suppress(ValueError, OSError):
            _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        # The module's own name is the only way to say which protocol serves.
        gasgi.ASGIProtocol = SiteProtocol
        super().init_process()

    def make_room(self) -> None:
        """Close the oldest connection that waits for a head."""
        for connection in self.connections:
            if connection.waiting:
                connection.end()
                return

    async def _shutdown(self) -> None:
        """Close what is idle first: a browser that keeps its connection must not hold the stop up."""
        for server in self.servers:
            server.close()
        for connection in list(self.connections):
            if connection.waiting:
                connection.end()
        await asyncio.sleep(0)
        await super()._shutdown()
