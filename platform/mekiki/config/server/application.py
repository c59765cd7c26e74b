"""The ASGI application around Django's WSGI handler, served by gunicorn (worker.py)."""

import asyncio
import contextvars
import io
import logging
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from django.core.wsgi import get_wsgi_application

from mekiki.config import env
from mekiki.config.start import collection_paused, set_up_django

env.use_settings()
set_up_django()
wsgi = get_wsgi_application()

from django.conf import settings  # noqa: E402
from django.http import FileResponse, HttpResponseBase  # noqa: E402
from django.urls import get_resolver  # noqa: E402

from mekiki.config.server import limits, refusals  # noqa: E402
from mekiki.config.server.answers import ResponseWriter, Send, send_file, send_stream  # noqa: E402
from mekiki.config.server.bodies import Body, Disconnected, Receive, RequestBodyFile, TooLarge  # noqa: E402
from mekiki.config.server.environ import environ_of, headers_of  # noqa: E402

log = logging.getLogger("mekiki.server")

# Import all pages now. The worker processes are copies of this process and then need no import at their first
# request.
with collection_paused():
    _ = get_resolver().url_patterns

# Thread pools for pages, for requests whose files still arrive, for streaming responses, and for reading
# files. A thread that waits for a client is never a thread of PAGES.
PAGES = ThreadPoolExecutor(8, "page")
UPLOADS = ThreadPoolExecutor(4, "upload")
STREAMS = ThreadPoolExecutor(4, "stream")
FILES = ThreadPoolExecutor(2, "file")
# Limits how many large forms are in memory at the same time.
LARGE_FORMS = asyncio.Semaphore(8)


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve one request."""
    if scope["type"] != "http":
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        return
    headers = headers_of(scope)
    body = Body(receive, _declared_length(headers))
    answer = ResponseWriter(send, head_only=scope["method"] == "HEAD")
    try:
        try:
            stream, length, threads = await _read(scope, headers, body)
        except TooLarge:
            await refusals.send_refusal(answer, 413, headers)
        except TimeoutError:
            await refusals.send_refusal(answer, 408, headers)
        else:
            await _respond(environ_of(scope, headers, stream, length), answer, threads)
        if not body.complete:
            await body.drain()
    except Disconnected:
        pass
    except asyncio.CancelledError:
        answer.client_disconnected = True
        raise
    except TimeoutError:
        log.info("An answer was given up: its client hardly reads (%s).", scope["path"])


def _declared_length(headers: dict[str, str]) -> int | None:
    """Return the declared length of the body in bytes, None for a chunked body."""
    if "transfer-encoding" in headers:
        return None
    return int(headers.get("content-length") or 0)


async def _read(
    scope: dict[str, Any], headers: dict[str, str], body: Body
) -> tuple[io.BufferedIOBase, int, Executor]:
    """Return the body as a file, its length, and the thread pool that processes the request.

    Clients that are not logged in may send only a small body, within seconds. The session is looked up only
    for a larger body. Raises TooLarge, TimeoutError or Disconnected.
    """
    length = body.length
    if length is None or length <= limits.ANONYMOUS_BYTES:
        try:
            async with asyncio.timeout(limits.ANONYMOUS_SECONDS):
                whole = await body.whole(limits.ANONYMOUS_BYTES)
            return io.BytesIO(whole), len(whole), PAGES
        except TooLarge:
            if length is not None:
                raise
    loop = asyncio.get_running_loop()
    path, cookies = scope["path"], headers.get("cookie", "")
    limit = await loop.run_in_executor(PAGES, limits.body_limit, path, cookies)
    if (length or body.received) > limit:
        raise TooLarge
    files = await loop.run_in_executor(PAGES, limits.may_carry_files, path)
    if length is not None and length > limits.STREAMED_ABOVE_BYTES and files:
        return io.BufferedReader(RequestBodyFile(body, length, loop), 256 * 1024), length, UPLOADS
    async with LARGE_FORMS:
        # A chunked body is limited to the size of a form, even if it holds files. Programs that send files
        # declare the length.
        whole = await body.whole(min(limit, settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
    return io.BytesIO(whole), len(whole), PAGES


async def _respond(environ: dict[str, Any], answer: ResponseWriter, threads: Executor) -> None:
    """Run Django in one of `threads` and send its response."""
    loop = asyncio.get_running_loop()
    # Context variables, such as the language that Django sets for the request, must follow it from thread to
    # thread.
    context = contextvars.copy_context()
    work = loop.run_in_executor(threads, context.run, _call, environ)
    try:
        response, content = await asyncio.shield(work)
    except asyncio.CancelledError:
        # The client has disconnected. The thread finishes its work, then the response and its files are
        # closed.
        work.add_done_callback(_close)
        raise
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers += [
        (b"set-cookie", morsel.OutputString().encode("latin-1")) for morsel in response.cookies.values()
    ]
    try:
        await answer.start(response.status_code, headers)
        if content is not None:
            if not answer.head_only:
                await answer.chunk(content)
        elif answer.head_only:
            pass
        elif isinstance(response, FileResponse) and getattr(response, "file_to_stream", None) is not None:
            await send_file(answer, response, FILES)
        else:
            content = b""  # send_stream closes the response
            await send_stream(answer, response, STREAMS, context, FILES)
        await answer.finish()
    finally:
        if content is None:
            # Shielded, because a client that disconnects now must not remove the work from the queue.
            await asyncio.shield(loop.run_in_executor(FILES, response.close))


def _call(environ: dict[str, Any]) -> tuple[HttpResponseBase, bytes | None]:
    """Return Django's response, and its content if it is not a streaming response.

    A response with content is already closed.
    """
    response: HttpResponseBase = wsgi(environ, lambda *_ignored: None)  # type: ignore[arg-type, return-value]
    if response.streaming:
        return response, None
    content: bytes = response.content  # type: ignore[attr-defined]
    response.close()
    return response, content


def _close(work: "asyncio.Future[tuple[HttpResponseBase, bytes | None]]") -> None:
    """Close the response of a request after its client has disconnected."""
    if not work.cancelled() and work.exception() is None:
        FILES.submit(work.result()[0].close)
