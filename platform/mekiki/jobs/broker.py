"""Messages to the broker, each sent within about one second. The rows in PostgreSQL are authoritative.

If the broker hangs or cannot be reached, the caller waits once for a short time. After that this process
sends nothing for a few seconds, and the sweeper sends the missing messages later.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from kombu import pools

from mekiki.config.celery import app

logger = logging.getLogger(__name__)

TIMEOUT = 0.5  # seconds for connecting, and for each reply of the broker
PAUSE_AFTER_FAILURE = 3.0  # seconds without a try after a failed try

_TIMEOUTS = {"socket_connect_timeout": TIMEOUT, "socket_timeout": TIMEOUT, "max_retries": 0}


class _Pause:
    """The pause after a failed message, during which this process does not try the broker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = float("-inf")

    def is_over(self) -> bool:
        with self._lock:
            return time.monotonic() >= self._until

    def begin(self) -> None:
        with self._lock:
            self._until = time.monotonic() + PAUSE_AFTER_FAILURE

    def end(self) -> None:
        with self._lock:
            self._until = float("-inf")


rest = _Pause()


def send(task: str, args: Sequence[Any], *, queue: str | None = None) -> bool:
    """Send the message of a task to the broker. Return True if the broker took it.

    The call takes about one second at most.
    """
    if not rest.is_over():
        return False
    try:
        connection = app.connection_for_write(connect_timeout=TIMEOUT, transport_options=_TIMEOUTS)
        options = {} if queue is None else {"queue": queue}
        with pools.producers[connection].acquire(block=True, timeout=TIMEOUT) as producer:
            app.send_task(task, args=list(args), producer=producer, retry=False, **options)
    except Exception as error:  # kombu and redis raise many kinds of errors
        rest.begin()
        logger.warning("The broker did not take %s %s (%s). It is sent again later.", task, list(args), error)
        return False
    rest.end()
    return True
