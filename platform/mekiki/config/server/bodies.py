"""Bodies of requests: in memory as a whole, or as a file that a thread reads while the data arrives."""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from typing import Any

from mekiki.config.server import limits

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Disconnected(Exception):
    """The client has disconnected and cannot receive a response."""


class TooLarge(Exception):
    """The body is larger than allowed."""


class Body:
    """The body of one request while it arrives, for use in the event loop.

    `length` is the length that the request declares, None for a chunked body.
    """

    def __init__(self, receive: Receive, length: int | None) -> None:
        self.receive = receive
        self.length = length
        self.received = 0
        self.complete = length == 0
        self.parts: list[bytes] = []
        self.began = 0.0

    async def chunk(self) -> bytes:
        """Return the next bytes, or empty bytes at the end of the body.

        Raises TimeoutError after a long pause or at a low rate, Disconnected if the client has disconnected.
        """
        self.began = self.began or time.monotonic()
        while not self.complete:
            message = await asyncio.wait_for(self.receive(), limits.STALL_SECONDS)
            if message["type"] != "http.request":
                raise Disconnected
            data: bytes = message.get("body", b"")
            self.complete = not message.get("more_body", False)
            self.received += len(data)
            late = time.monotonic() - self.began - limits.STALL_SECONDS
            if late > 0 and self.received < late * limits.MIN_BYTES_PER_SECOND:
                raise TimeoutError
            if data:
                return data
        return b""

    async def whole(self, limit: int) -> bytes:
        """Return the whole body.

        Raises TooLarge beyond `limit` bytes, and the errors of `chunk`. A second call continues where the
        first call stopped, and also returns the bytes of the first call.
        """
        while data := await self.chunk():
            self.parts.append(data)
            if self.received > limit:
                raise TooLarge
        return b"".join(self.parts)

    async def drain(self, seconds: float = 1.0, most: int = 4 * 1024 * 1024) -> None:
        """Read and discard for at most `seconds` seconds or `most` bytes.

        A client that still sends can then read the response.
        """
        try:
            async with asyncio.timeout(seconds):
                end = self.received + most
                while self.received < end and await self.chunk():
                    pass
        except (TimeoutError, Disconnected):
            pass


class RequestBodyFile(io.RawIOBase):
    """A body as a file for a thread.

    The file ends early if the client stops sending, disconnects or sends too much.
    """

    def __init__(self, body: Body, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self.body, self.limit, self.loop = body, limit, loop
        self.rest = b""

    def readable(self) -> bool:
        """Return True: the file can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with the bytes that have arrived, and return their number.

        The method waits for the first byte. It returns 0 at the end.
        """
        if not self.rest:
            try:
                self.rest = asyncio.run_coroutine_threadsafe(self.body.chunk(), self.loop).result()
            except (TimeoutError, Disconnected, CancelledError):
                return 0
            if self.body.received > self.limit:
                return 0
        count = min(len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return count
