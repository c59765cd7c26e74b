"""When a row that a worker fills in is sent to the search worker, and when it is sent again.

The rows are authoritative. If a message is lost, the page that waits asks again. A message that arrives twice
has no effect, because the row is already answered.
"""

import threading
import time
from datetime import timedelta
from enum import StrEnum
from typing import Any

from mekiki.jobs import broker
from mekiki.learning.messages import EXPLANATIONS
from mekiki.learning.models import Encoder
from mekiki.learning.search.texts import QUEUE

PREPARE = "workers.tasks.prepare_encoder"
# The worker keeps an encoder for ten minutes after its last use.
PREPARE_AGAIN = 300.0  # seconds

RESEND_AFTER = timedelta(seconds=10)
# The worker ignores older requests, because a page that still waits has sent a new request.
EXPIRES = timedelta(seconds=120)
RETRY_AFTER = timedelta(seconds=15)  # time after which a failed request may be repeated
NO_WORKER_AFTER = timedelta(seconds=60)  # time after which the page reports that no worker answers


class Problem(StrEnum):
    """Reasons why there is no vector of a prompt or no heat map."""

    NOT_LOADED = "not_loaded"  # detail: reason
    OTHER_WEIGHTS = "other_weights"
    OTHER_VECTORS = "other_vectors"  # the same weights, but the vectors differ from the reference
    NO_FILE = "no_file"
    TOO_SLOW = "too_slow"  # detail: seconds
    FAILED = "failed"  # detail: reason
    NOT_SENT = "not_sent"  # the broker does not answer
    NO_WORKER = "no_worker"

    def sentence(self, detail: dict[str, Any] | None = None) -> str:
        """Return what happened and what to do, in the user's language."""
        return EXPLANATIONS.render(self, detail)


_prepared: dict[int, float] = {}  # encoder id → monotonic time of the last message
_preparing = threading.Lock()


def prepare_encoder(encoder: Encoder) -> None:
    """Ask the search worker to load an encoder now, because somebody may soon ask for a heat map.

    Loading takes seconds. This process sends the message at most every PREPARE_AGAIN seconds. A lost message
    only makes the first heat map slower.
    """
    now = time.monotonic()
    with _preparing:
        if now - _prepared.get(encoder.pk, float("-inf")) < PREPARE_AGAIN:
            return
        _prepared[encoder.pk] = now
    broker.send(PREPARE, [encoder.pk], queue=QUEUE)
