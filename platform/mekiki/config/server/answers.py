"""Sending of Django's responses by the event loop.

A client that reads slowly does not hold a thread that renders pages.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import Context
from typing import Any

from django.http import FileResponse, HttpResponseBase

from mekiki.config.server import limits
from mekiki.config.server.bodies import Disconnected

Send = Callable[[dict[str, Any]], Awaitable[None]]
CHUNK_BYTES = 128 * 1024


class ResponseWriter:
    """One response that is being sent to a client.

    `gone` is true after the client has disconnected; then nothing more is sent.
    """

    def __init__(self, send: Send, *, head_only: bool) -> None:
        self.send, self.head_only = send, head_only
        self.client_disconnected = False
        self.sent = 0
        self.began = time.monotonic()

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the status and the headers."""
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def chunk(self, data: bytes) -> None:
        """Send a part of the body.

        Raises TimeoutError if the client reads too slowly, Disconnected if the client has disconnected.
        """
        for begin in range(0, len(data), CHUNK_BYTES):
            if self.client_disconnected:
                raise Disconnected
            part = data[begin : begin + CHUNK_BYTES]
            message = {"type": "http.response.body", "body": part, "more_body": True}
            await asyncio.wait_for(self.send(message), limits.STALL_SECONDS)
            self.sent += len(part)
            late = time.monotonic() - self.began - limits.STALL_SECONDS
            if late > 0 and self.sent < late * limits.MIN_BYTES_PER_SECOND:
                raise TimeoutError

    async def finish(self) -> None:
        """Send the end of the body."""
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_file(answer: ResponseWriter, response: FileResponse, files: Executor) -> None:
    """Send a file. A thread reads one chunk at a time."""
    loop = asyncio.get_running_loop()
    source: Any = response.file_to_stream
    while data := await loop.run_in_executor(files, source.read, CHUNK_BYTES):
        await answer.chunk(data)


async def send_stream(
    answer: ResponseWriter,
    response: HttpResponseBase,
    threads: Executor,
    context: Context,
    closers: Executor,
) -> None:
    """Send a streaming response and close it.

    One thread iterates over the whole response, because a database connection belongs to one thread. A
    response that no thread has started when the client disconnects is closed by a thread of `closers`.
    """
    loop = asyncio.get_running_loop()

    def pump() -> None:
        held: list[bytes] = []
        size = 0

        def pass_on() -> None:
            asyncio.run_coroutine_threadsafe(answer.chunk(b"".join(held)), loop).result()

        try:
            for data in response:  # type: ignore[attr-defined]
                held.append(data)
                size += len(data)
                if size >= CHUNK_BYTES:
                    pass_on()
                    held, size = [], 0
            if held:
                pass_on()
        finally:
            response.close()

    work = threads.submit(context.run, pump)
    try:
        await asyncio.wrap_future(work)
    except asyncio.CancelledError:
        if work.cancel():  # it waited for a thread, so pump never runs
            closers.submit(response.close)
        raise
