"""Search texts and their vectors.

The web process computes nothing. It writes a row, sends a message to the search worker
(workers.tasks.embed_text) and reads the vector when it is stored. The worker has its own queue, so that no
long job delays a search. The rows are the cache. If a message is lost, the waiting page sends it again. A
message that arrives twice has no effect, because the text is already answered.
"""

import hashlib
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models.functions import Now
from numpy.typing import ArrayLike, NDArray

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.jobs import broker
from mekiki.labeling.text import clean
from mekiki.learning.messages import SEARCHES
from mekiki.learning.models import Encoder, TextEmbedding

QUEUE = "interactive"
TASK = "workers.tasks.embed_text"
# The text must also fit into a URL: 200 Japanese characters take 1,800 bytes there.
MAX_TEXT = 200
KEEP = 10_000  # number of texts in the cache; the most recently used stay
RESEND_AFTER = timedelta(seconds=5)
# The worker ignores older requests, because a page that still waits has sent a new request.
EXPIRES = timedelta(seconds=120)
MAX_PENDING_PER_USER, MAX_PENDING = 10, 100  # limits on recent texts without an answer
RETRY_AFTER = timedelta(seconds=30)  # time after which a failed request is repeated
LAST_USE_PRECISION = timedelta(hours=1)  # precision of the stored time of the last use
NO_WORKER_AFTER = timedelta(seconds=60)  # time after which the page reports that no worker answers


class Problem(StrEnum):
    """Reasons why a text has no vector."""

    EMPTY = "empty"
    LONG = "long"  # more than MAX_TEXT characters
    TOO_LONG = "too_long"  # too many tokens for the encoder; detail: count, most
    NOT_LOADED = "not_loaded"  # detail: reason
    OTHER_WEIGHTS = "other_weights"
    OTHER_VECTORS = "other_vectors"  # the same weights, but the vectors differ from the reference
    BUSY = "busy"
    NO_WORKER = "no_worker"
    NOT_SENT = "not_sent"  # the broker does not answer

    def sentence(self, detail: dict[str, Any] | None = None) -> str:
        """Return what happened and what to do, in the user's language."""
        return SEARCHES.render(self, detail)


TEMPORARY_PROBLEMS = (Problem.NOT_LOADED, Problem.OTHER_WEIGHTS, Problem.OTHER_VECTORS)

# A waiting page occupies a thread of the web server. If all places are taken, a page does not wait but asks
# again.
_waiting = threading.BoundedSemaphore(4)


@dataclass(frozen=True)
class TextVectorResult:
    """The answer for a text: a vector (d,), a problem, or neither while the answer is still pending."""

    text: str
    vector: NDArray[np.float32] | None = None
    problem: Problem | None = None
    detail: dict[str, Any] | None = None

    @property
    def waiting(self) -> bool:
        """Return whether the answer is still pending."""
        return self.vector is None and self.problem is None

    def sentence(self) -> str:
        """Return what happened and what to do, or "" if there is no problem."""
        return self.problem.sentence(self.detail) if self.problem else ""


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, which is its key in the cache."""
    return hashlib.sha256(text.encode()).hexdigest()


def find_text_vector(*, encoder: Encoder, text: str, user: User, wait: float = 0.0) -> TextVectorResult:
    """Return the vector of a text by an encoder, or the problem.

    If the vector is not in the cache, request it from a worker and wait up to `wait` seconds.
    """
    cleaned = clean(text[: 10 * MAX_TEXT])
    if len(cleaned) > MAX_TEXT or len(text) > 10 * MAX_TEXT:
        return TextVectorResult(cleaned[:MAX_TEXT], problem=Problem.LONG, detail={"most": MAX_TEXT})
    if not cleaned:
        return TextVectorResult(cleaned, problem=Problem.EMPTY)
    row = _row(encoder, cleaned, user)
    if row is None:
        return TextVectorResult(cleaned, problem=Problem.BUSY)
    if not _send_when_due(row):
        return TextVectorResult(cleaned, problem=Problem.NOT_SENT)
    if row.answered_at is None and _waiting.acquire(blocking=False):
        try:
            _wait(row, wait)
        finally:
            _waiting.release()
    return _answer_of(row)


def _wait(row: TextEmbedding, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    pause = 0.02
    while row.answered_at is None and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)
        row.refresh_from_db(fields=["vector", "problem", "detail", "answered_at"])


def _row(encoder: Encoder, text: str, user: User) -> TextEmbedding | None:
    """Return the row of a text, created if it is new, or None if too many texts are waiting."""
    now = clock.now()
    row = TextEmbedding.objects.filter(encoder=encoder, digest=text_digest(text)).first()
    if row is not None:
        if clock.has_passed(LAST_USE_PRECISION, row.used_at, at=now):
            TextEmbedding.objects.filter(pk=row.pk).update(used_at=now)
        return row
    waiting = TextEmbedding.objects.filter(answered_at__isnull=True, asked_at__range=(now - EXPIRES, now))
    if waiting.count() >= MAX_PENDING or waiting.filter(created_by=user).count() >= MAX_PENDING_PER_USER:
        return None
    row, _made = TextEmbedding.objects.get_or_create(
        encoder=encoder,
        digest=text_digest(text),
        defaults={"text": text, "created_by": user, "used_at": now},
    )
    return row


def _send_when_due(row: TextEmbedding) -> bool:
    """Send a message to the worker if one is due. Return False if the broker does not answer.

    No message is due if one was sent a moment ago or if the text is answered. While a text waits, `used_at`
    stores when the waiting started, because `asked_at` changes with each message.
    """
    now = clock.now()
    if row.answered_at is not None:
        if row.problem not in TEMPORARY_PROBLEMS or not clock.has_passed(
            RETRY_AFTER, row.answered_at, at=now
        ):
            return True
        again = TextEmbedding.objects.filter(pk=row.pk, answered_at=row.answered_at)
        if again.update(problem="", detail={}, answered_at=None, asked_at=None, used_at=now):
            row.problem, row.detail, row.answered_at, row.asked_at = "", {}, None, None
    if row.asked_at is not None and not clock.has_passed(RESEND_AFTER, row.asked_at, at=now):
        return True
    lately = row.asked_at is not None and not clock.has_passed(EXPIRES, row.asked_at, at=now)
    began = {} if lately else {"used_at": now}
    # If several pages wait for the same text, only the first update of `asked_at` matches a row.
    due = TextEmbedding.objects.filter(pk=row.pk, answered_at__isnull=True, asked_at=row.asked_at)
    if due.update(asked_at=now, **began):
        row.used_at = began.get("used_at", row.used_at)
        pk = row.pk
        sent: list[bool] = []  # stays empty inside a transaction
        transaction.on_commit(lambda: sent.append(_send(pk)))
        return all(sent)
    return True


def _send(pk: int) -> bool:
    # No `expires` option: the worker would compare the clocks of two machines.
    if broker.send(TASK, [pk], queue=QUEUE):
        return True
    # The next request of the page then tries again at once.
    TextEmbedding.objects.filter(pk=pk, answered_at__isnull=True).update(asked_at=None)
    return False


def waiting_text(pk: int) -> TextEmbedding | None:
    """Return a waiting text, or None if it was answered or if its request is too old."""
    row = TextEmbedding.objects.select_related("encoder").filter(pk=pk, answered_at__isnull=True).first()
    if row is None or row.asked_at is None:
        return row
    now = clock.now()
    # A time in the future means that the clock was set back. Then a page may still be waiting.
    return None if row.asked_at <= now and clock.has_passed(EXPIRES, row.asked_at, at=now) else row


def waiting_text_ids(encoder_id: int) -> list[int]:
    """Return the ids of the texts that wait for this encoder, the oldest first. Old requests are left out."""
    since = clock.now() - EXPIRES
    rows = TextEmbedding.objects.filter(encoder=encoder_id, answered_at__isnull=True, asked_at__gt=since)
    return list(rows.order_by("asked_at").values_list("pk", flat=True)[:MAX_PENDING])


def _answer_of(row: TextEmbedding) -> TextVectorResult:
    if row.vector is not None:
        return TextVectorResult(row.text, vector=np.asarray(row.vector, np.float32))
    if row.problem:
        return TextVectorResult(row.text, problem=Problem(row.problem), detail=row.detail)
    if clock.has_passed(NO_WORKER_AFTER, row.used_at):
        return TextVectorResult(row.text, problem=Problem.NO_WORKER)
    return TextVectorResult(row.text)


def record_vector(*, row: TextEmbedding, vector: ArrayLike) -> None:
    """Store a text's unit vector (d,). Raises ValueError for a wrong shape or values that are not finite."""
    values = np.asarray(vector, np.float32)
    if values.shape != (row.encoder.dim,) or not np.isfinite(values).all():
        raise ValueError(f"a finite vector of {row.encoder.dim} dimensions is needed, got {values.shape}")
    TextEmbedding.objects.filter(pk=row.pk).update(
        vector=values.tolist(), problem="", detail={}, answered_at=Now()
    )


def record_problem(*, row: TextEmbedding, problem: Problem, **detail: Any) -> None:
    """Store why a text has no vector. Raises TypeError if a value of `detail` is no JSON scalar."""
    SEARCHES.check(problem, detail)
    TextEmbedding.objects.filter(pk=row.pk, vector__isnull=True).update(
        problem=problem, detail=detail, answered_at=Now()
    )


def delete_unused_texts(keep: int = KEEP) -> int:
    """Delete the least recently used texts beyond `keep`, and return the number of deleted texts."""
    last = TextEmbedding.objects.order_by("-used_at").values_list("used_at", flat=True)[keep : keep + 1]
    edge = next(iter(last), None)
    return TextEmbedding.objects.filter(used_at__lte=edge).delete()[0] if edge else 0
