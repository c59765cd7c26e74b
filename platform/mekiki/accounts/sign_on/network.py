"""Requests to the provider with a limited total time and answer size, and without redirects."""

import queue
import threading
import time
from typing import Any

import requests
from allauth.core import context

CONNECT_SECONDS, READ_SECONDS = 3.0, 5.0
# All requests of one sign-on together: discovery, token, keys and claims.
TOTAL_SECONDS = 10.0
LARGEST_ANSWER = 1024 * 1024
# The number of simultaneous requests of this process, including abandoned requests. A provider that hangs
# must not block the threads that serve pages. A request that gets no slot within a second is refused.
SLOTS = threading.BoundedSemaphore(4)
SLOT_SECONDS = 1.0


class ProviderSession(requests.Session):
    """A session of requests for a provider that may be unreachable, slow or broken.

    The timeouts of requests limit neither a whole answer nor the look-up of a host name. So each request runs
    in its own thread. At the deadline the caller stops waiting for the thread, which ends by itself later.
    """

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline = deadline

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Return the whole answer.

        Raises requests.Timeout or another RequestException if the answer is late or too large.
        """
        if not SLOTS.acquire(timeout=max(0.0, min(SLOT_SECONDS, self.deadline - time.monotonic()))):
            raise requests.Timeout("the provider took too long")
        answers: queue.SimpleQueue[requests.Response | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._whole(method, url, options))
            except Exception as error:
                answers.put(error)
            finally:
                SLOTS.release()

        threading.Thread(target=ask, daemon=True, name="sign-on").start()
        try:
            answer = answers.get(timeout=max(0.0, self.deadline - time.monotonic()))
        except queue.Empty:
            raise requests.Timeout("the provider took too long") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _whole(self, method: str, url: str, options: dict[str, Any]) -> requests.Response:
        limits = {"timeout": (CONNECT_SECONDS, READ_SECONDS), "allow_redirects": False, "stream": True}
        response = super().request(method, url, **{**options, **limits})
        body = bytearray()
        for part in response.iter_content(1024):
            body += part
            if len(body) > LARGEST_ANSWER or time.monotonic() > self.deadline:
                response.close()
                raise requests.RequestException("the answer of the provider is too long")
        response._content = bytes(body)
        return response


def provider_session() -> ProviderSession:
    """Return a session. All sessions within one request of a browser share one deadline."""
    request = context.request
    deadline = getattr(request, "sign_on_deadline", None)
    if deadline is None:
        deadline = time.monotonic() + TOTAL_SECONDS
        if request is not None:
            request.sign_on_deadline = deadline
    return ProviderSession(deadline)
