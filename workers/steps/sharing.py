"""Which worker embeds which images: several chunks one dataset and do nothing twice.

Images are divided by their ids into chunks, the same ones for every worker. A chunk belongs to the worker whose
database connection holds an advisory lock on (encoder, chunk): the lock goes with the connection, so that what a
killed worker held is free at once, and nothing has to be tidied up. What is missing in a chunk is looked up under
its lock, after whoever had it before has committed; and it is stored on the connection that holds the lock, so
that a worker which lost its lock cannot store either.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, connection
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.in_hand import Hand
from mekiki.learning import models
from mekiki.learning.problems import KILLS_WORKER
from mekiki.learning.services import record_encoding_problems, store_embeddings
from workers.steps.encoders import missing

logger = logging.getLogger(__name__)

CHUNK = 256  # ids: so many images at most are embedded again after a kill
# A worker that says nothing this long on the connection that holds a chunk hangs; its chunk is done without the lock.
HUNG = 300.0  # seconds


@dataclass(frozen=True)
class Chunk:
    """Images of one range of ids that this worker alone embeds now."""

    number: int
    images: list[Image]
    # A worker died with this chunk in its hands: its images are to be embedded one at a time.
    suspect: bool = False


class ChunkQueue:
    """One worker's part of the images of a dataset. All methods are to be called from one thread: it has the locks."""

    def __init__(self, dataset: Dataset, row: models.Encoder) -> None:
        self._dataset, self._row = dataset, row
        self._todo = missing(dataset, row).only("pk", "dataset_id", "sha256", "has_display").order_by("pk")
        self._last = 0
        self._held: set[int] = set()
        self._hands: dict[int, Hand] = {}  # by chunk
        self.embedded = 0  # by this worker

    def claim(self, *, take_from_hung: bool = False) -> Chunk | None:
        """The next free chunk with missing images; None when there is none behind the last one claimed."""
        while (
            next_image := self._todo.filter(pk__gt=self._last).values_list("pk", flat=True).first()
        ) is not None:
            number = next_image // CHUNK
            self._last = (number + 1) * CHUNK - 1
            if number in self._held or not (self._lock(number) or (take_from_hung and self._hangs(number))):
                continue
            self._held.add(number)
            images = list(self._todo.filter(pk__gte=number * CHUNK, pk__lte=self._last))
            if images:
                return self._begun(number, images)
            self._release(number)
        return None

    def _begun(self, number: int, images: list[Image]) -> Chunk:
        """Note that the chunk is in hand; leave out an image with which workers died."""
        hand = self._hands[number] = Hand(f"encode {self._row.pk} {number}")
        if hand.set_aside:
            reasons = {int(pk): KILLS_WORKER for pk in hand.set_aside}
            record_encoding_problems(encoder=self._row, problems=reasons)
            logger.error("Images %s are set aside: workers died while they read them.", sorted(reasons))
            images = [image for image in images if image.pk not in reasons]
        suspect = bool(hand.suspects or hand.set_aside)
        if not suspect:
            hand.begin(["all"])  # of the chunk: which images that is, the rows say
        return Chunk(number, images, suspect)

    def begin_alone(self, chunk: Chunk, image_id: int) -> None:
        """Note that one image of a suspect chunk is in hand, and no other image at all."""
        self._hands[chunk.number].begin_alone(str(image_id))

    def store_one(
        self, chunk: Chunk, ids: Sequence[int], vectors: NDArray[Any], problems: dict[int, str]
    ) -> None:
        """Keep what was computed of one image of a suspect chunk."""
        self.embedded += store_embeddings(encoder=self._row, image_ids=ids, vectors=vectors)
        record_encoding_problems(encoder=self._row, problems=problems)
        self._hands[chunk.number].done([str(pk) for pk in [*ids, *problems]])

    def let_go(self, chunk: Chunk) -> None:
        """Let go of a suspect chunk, all of whose images are done."""
        self._release(chunk.number)

    def rewind(self) -> None:
        """Look from the first image again: chunks that others held may be free, and imports go on meanwhile."""
        self._last = 0

    def left(self) -> bool:
        """Is anything missing, whoever has it?"""
        return self._todo.exists()

    def store(
        self, chunk: Chunk, ids: Sequence[int], vectors: NDArray[Any], problems: dict[int, str]
    ) -> None:
        """Keep what was computed of a chunk, and let go of it."""
        stored = store_embeddings(encoder=self._row, image_ids=ids, vectors=vectors)
        record_encoding_problems(encoder=self._row, problems=problems)
        self._release(chunk.number)
        self.embedded += stored
        logger.info(
            "Dataset %s, encoder %s, chunk %s: %s embedded, %s not new, %s unreadable.",
            self._dataset.pk,
            self._row.pk,
            chunk.number,
            stored,
            len(ids) - stored,
            len(problems),
        )

    def alive(self) -> None:
        """Say something on the connection: see HUNG."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def close(self) -> None:
        """Let go of every chunk."""
        with suppress(DatabaseError, InterfaceError):
            for number in list(self._held):
                self._release(number, stopped=True)

    def _key(self, number: int) -> int:
        return (self._row.pk << 40) + number

    def _lock(self, number: int) -> bool:
        with connection.cursor() as cursor:
            if not self._held:
                # A machine that vanished is noticed in a minute instead of two hours.
                cursor.execute(
                    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
                )
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [self._key(number)])
            return bool(cursor.fetchone()[0])

    def _release(self, number: int, *, stopped: bool = False) -> None:
        self._held.discard(number)
        if (hand := self._hands.pop(number, None)) is not None:
            hand.let_go() if stopped else hand.close()
        with connection.cursor() as cursor:
            # A chunk taken from a worker that hangs is not locked: PostgreSQL warns of that and does nothing.
            cursor.execute("SELECT pg_advisory_unlock(%s)", [self._key(number)])

    def _hangs(self, number: int) -> bool:
        """Has whoever holds the chunk been silent too long?"""
        key = self._key(number)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM clock_timestamp() - max(a.state_change)) FROM pg_locks l"
                " JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted"
                " AND l.classid::bigint = %s AND l.objid::bigint = %s AND l.objsubid = 1 AND a.datname = current_database()",
                [key >> 32, key & 0xFFFFFFFF],
            )
            (silent,) = cursor.fetchone()
        if silent is not None and silent > HUNG:
            logger.warning("Chunk %s is taken from a worker that has been silent for %.0f s.", number, silent)
            return True
        return False


@contextmanager
def no_embedding_of(number: int, encoder_ids: Sequence[int], wait: Callable[[], None]) -> Iterator[None]:
    """Keep every worker from embedding a chunk of images, by any encoder; wait() is called while one still does."""
    keys = [(pk << 40) + number for pk in sorted(encoder_ids)]
    held: list[int] = []
    try:
        for key in keys:
            while True:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
                    if cursor.fetchone()[0]:
                        break
                wait()
                time.sleep(0.25)
            held.append(key)
        yield
    finally:
        with suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
            for key in held:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


class StoringThread:
    """Calls of a chunk queue in a thread of their own, in order, so that storing does not wait for computing or the other
    way round. Inside a transaction (a test) they run here: another connection would not see its rows.
    """

    def __init__(self, chunks: ChunkQueue) -> None:
        self._share = chunks
        self._pool = None if connection.in_atomic_block else ThreadPoolExecutor(1, "storing")

    def __enter__(self) -> "StoringThread":
        return self

    def __exit__(self, *_exception: object) -> None:
        # What was handed over is stored first, also after an error: calls run in order.
        self.do(self._share.close).result()
        if self._pool is not None:
            # Named there, not here: `connection` is another one in each thread.
            self.do(lambda: connection.close()).result()
            self._pool.shutdown()

    def do(self, call: Any, *arguments: Any, **options: Any) -> "Future[Any]":
        """Ask for a call; its result, or its error, is in the future."""
        if self._pool is not None:
            return self._pool.submit(call, *arguments, **options)
        future: Future[Any] = Future()
        try:
            future.set_result(call(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future
