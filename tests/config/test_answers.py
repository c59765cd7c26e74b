""" "Responses that end early: Django's response is always closed."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.http import StreamingHttpResponse

from mekiki.config.server import application
from mekiki.config.server.answers import ResponseWriter


class WatchedResponse(StreamingHttpResponse):
    """A response that notes when it is closed and whether anything was read from it."""

    def __init__(self) -> None:
        super().__init__(self._parts())
        self.read = False
        self.closing = threading.Event()

    def _parts(self) -> Any:
        self.read = True
        yield b"part"

    def close(self) -> None:
        super().close()
        self.closing.set()


async def _send(_message: dict[str, Any]) -> None:
    pass


@pytest.mark.parametrize(("pool", "head_only"), [("STREAMS", False), ("FILES", True)])
def test_response_is_closed_if_the_client_leaves_before_a_thread_is_free(
    pool: str, head_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response waits for a thread that iterates over it, or for a thread that closes it."""
    response, free = WatchedResponse(), threading.Event()
    with ThreadPoolExecutor(1) as busy, ThreadPoolExecutor(1) as pages:
        monkeypatch.setattr(application, pool, busy)
        monkeypatch.setattr(application, "_call", lambda _environ: (response, None))

        async def leave_early() -> None:
            busy.submit(free.wait)  # the only thread serves another client
            answer = ResponseWriter(_send, head_only=head_only)
            serving = asyncio.create_task(application._respond({}, answer, pages))
            await asyncio.sleep(0.2)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving

        try:
            # Playwright keeps an event loop running in this thread if a browser test ran before.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, leave_early()).result()
            if pool == "FILES":
                free.set()
            assert response.closing.wait(5)
            assert not response.read
        finally:
            free.set()
