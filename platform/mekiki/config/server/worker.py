"""The worker class for gunicorn, with an event loop.

It adds protection from slow clients that gunicorn lacks: deadlines, and a limit on the number of connections.
"""

import asyncio
import contextlib
import resource
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers import gasgi

from mekiki.config.server import limits

# After a response, the client has this long to read the rest of our send buffer.
LINGER_SECONDS = 10.0


class SiteProtocol(ASGIProtocol):  # type: ignore[misc]
    """One connection, closed if a request head arrives too late or is too large.

    gunicorn itself has a deadline for the second request of a connection (keep-alive), but none for the first
    request.
    """

    def connection_made(self, transport: Any) -> None:
        """Start the deadline of the first request head, and limit the number of connections."""
        super().connection_made(transport)
        self.head_bytes = 0
        self.deadline = self.worker.loop.call_later(limits.HEAD_SECONDS, self.head_late)
        # The dictionary keeps the order of arrival: the first connection is the oldest.
        self.worker.connections[self] = None
        if len(self.worker.connections) > limits.MAX_CONNECTIONS:
            self.worker.make_room()

    @property
    def waiting(self) -> bool:
        """Return whether no complete request head has arrived yet."""
        return not self._request_ready.is_set()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a request head before the parser gets them."""
        if self.waiting:
            self.head_bytes += len(data)
            # The rest of the same packet may belong to the body. It is at most as large as one read of the
            # event loop.
            if self.head_bytes > limits.HEAD_BYTES and b"\r\n\r\n" not in data:
                self._send_error_response(431, "Request header fields too large")
                self.end()
                return
        super().data_received(data)
        if not self.waiting:
            self.head_bytes = 0
            self.deadline.cancel()

    def head_late(self) -> None:
        """Close the connection if its first request head has not arrived."""
        if self.waiting:
            self.end()

    def end(self) -> None:
        """Close the connection now, even if the client does not read."""
        self._close_transport()
        # This wakes the task of the connection, which then finds the connection closed.
        self._request_ready.set()
        if self.transport is not None:
            self.transport.abort()

    def _close_transport(self) -> None:
        """Close the connection when the client has read the data, at the latest after LINGER_SECONDS."""
        super()._close_transport()
        if self.transport is not None and not self._conn_lost_handled:
            self.worker.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Remove the connection from the worker's table."""
        self.deadline.cancel()
        self.worker.connections.pop(self, None)
        super().connection_lost(exc)


class SiteWorker(gasgi.ASGIWorker):  # type: ignore[misc]
    """The worker process of the web server."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connections: dict[SiteProtocol, None] = {}

    def init_process(self) -> None:
        """Raise the limit of open files to the system's maximum, then serve."""
        with contextlib.suppress(ValueError, OSError):
            _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        # gunicorn offers no setting for the protocol class, so the name in its module is replaced.
        gasgi.ASGIProtocol = SiteProtocol
        super().init_process()

    def make_room(self) -> None:
        """Close the oldest connection that waits for a request head."""
        for connection in self.connections:
            if connection.waiting:
                connection.end()
                return

    async def _shutdown(self) -> None:
        """Close idle connections first, then shut down.

        A browser that keeps its connection open must not delay the stop.
        """
        for server in self.servers:
            server.close()
        for connection in list(self.connections):
            if connection.waiting:
                connection.end()
        await asyncio.sleep(0)
        await super()._shutdown()
