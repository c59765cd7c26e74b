"""Division of embedding work among workers, so that no image is embedded twice.

Images are divided by their ids into chunks, which are the same for every worker. A chunk belongs to the
worker whose database connection holds an advisory lock on (encoder, chunk). The lock ends with the
connection, so the chunks of a killed worker are free at once and need no cleanup. The missing images of a
chunk are read under its lock, after the previous owner has committed. They are stored on the connection that
holds the lock, so a worker that lost its lock cannot store.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Exists, OuterRef
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.in_hand import ItemsInHand
from mekiki.learning import models
from mekiki.learning.messages import KILLS_WORKER
from mekiki.learning.services import record_encoding_problems, store_embeddings
from workers.steps.encoders import images_without_embedding

logger = logging.getLogger(__name__)

# Ids per chunk: the maximum number of images that are embedded again after a kill.
CHUNK: int = settings.EMBEDDING_CHUNK
# A worker without activity this long on the connection that locks a chunk is stalled. Another worker embeds
# its chunk without the lock.
STALLED_AFTER = 300.0  # seconds


@dataclass(frozen=True)
class Chunk:
    """Images of one range of ids that only this worker embeds now."""

    number: int
    images: list[Image]
    # A worker died while it embedded this chunk: its images are embedded one at a time.
    suspect: bool = False
    # The images whose detail descriptor is computed too.
    needs_detail: frozenset[int] = frozenset()


class ChunkQueue:
    """One worker's chunks of a dataset's images.

    Call all methods from one thread, because its database connection holds the locks.
    """

    def __init__(
        self,
        dataset: Dataset,
        row: models.Encoder,
        detail_row: models.Encoder | None = None,
        *,
        embedded_by: models.Encoder | None = None,
    ) -> None:
        """`detail_row`: the detail descriptor, if it is computed and stored in the same pass.

        `embedded_by`: only images with an embedding by this encoder.
        """
        self._dataset, self._row, self._detail_row = dataset, row, detail_row
        self._todo = (
            images_without_embedding(dataset, row)
            .only("pk", "dataset_id", "sha256", "has_display")
            .order_by("pk")
        )
        if embedded_by is not None:
            self._todo = self._todo.filter(
                Exists(models.Embedding.objects.filter(encoder=embedded_by, image=OuterRef("pk")))
            )
        self._last = 0
        self._held: set[int] = set()
        self._hands: dict[int, ItemsInHand] = {}  # by chunk
        self.embedded = 0  # images embedded by this worker

    def claim(self, *, take_from_hung: bool = False) -> Chunk | None:
        """Return the next free chunk with missing images.

        Return None if there is none after the last claimed chunk.
        """
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
        """Record that the chunk is in progress, and leave out images with which workers died."""
        hand = self._hands[number] = ItemsInHand(f"encode {self._row.pk} {number}")
        if hand.set_aside:
            reasons = {int(pk): KILLS_WORKER for pk in hand.set_aside}
            record_encoding_problems(encoder=self._row, problems=reasons)
            logger.error("Images %s are set aside: workers died while they read them.", sorted(reasons))
            images = [image for image in images if image.pk not in reasons]
        suspect = bool(hand.suspects or hand.set_aside)
        if not suspect:
            hand.begin(["all"])  # all images of the chunk, as given by the rows
        return Chunk(number, images, suspect, self._without_detail(images))

    def _without_detail(self, images: list[Image]) -> frozenset[int]:
        if self._detail_row is None:
            return frozenset()
        rows = images_without_embedding(self._dataset, self._detail_row)
        ids = [image.pk for image in images]
        return frozenset(rows.filter(pk__in=ids).values_list("pk", flat=True))

    def begin_alone(self, chunk: Chunk, image_id: int) -> None:
        """Record that one image of a suspect chunk is in progress, and no other image."""
        self._hands[chunk.number].begin_alone(str(image_id))

    def store_one(
        self,
        chunk: Chunk,
        ids: Sequence[int],
        vectors: NDArray[Any],
        problems: dict[int, str],
        detail: Mapping[int, NDArray[Any]],
    ) -> None:
        """Store the result of one image of a suspect chunk."""
        self._store_detail(detail)
        self.embedded += store_embeddings(encoder=self._row, image_ids=ids, vectors=vectors)
        record_encoding_problems(encoder=self._row, problems=problems)
        self._hands[chunk.number].done([str(pk) for pk in [*ids, *problems]])

    def release(self, chunk: Chunk) -> None:
        """Release a suspect chunk after all its images are done."""
        self._release(chunk.number)

    def rewind(self) -> None:
        """Start again from the first image.

        Other workers may have released chunks, and imports may have added images.
        """
        self._last = 0

    def left(self) -> bool:
        """Return whether any image is missing, including images of other workers' chunks."""
        return self._todo.exists()

    def _store_detail(self, detail: Mapping[int, NDArray[Any]]) -> None:
        # Before the embeddings: an image with an embedding has its detail, also after a kill in between.
        if detail and self._detail_row is not None:
            store_embeddings(
                encoder=self._detail_row, image_ids=list(detail), vectors=np.stack(list(detail.values()))
            )

    def store(
        self,
        chunk: Chunk,
        ids: Sequence[int],
        vectors: NDArray[Any],
        problems: dict[int, str],
        detail: Mapping[int, NDArray[Any]] = MappingProxyType({}),
    ) -> None:
        """Store the results of a chunk, and release it. detail: (k,) by image id."""
        self._store_detail(detail)
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
        """Run a query on the connection as a sign of life: see HUNG."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def close(self) -> None:
        """Release every chunk."""
        with suppress(DatabaseError, InterfaceError):
            for number in list(self._held):
                self._release(number, stopped=True)

    def _key(self, number: int) -> int:
        return (self._row.pk << 40) + number

    def _lock(self, number: int) -> bool:
        with connection.cursor() as cursor:
            if not self._held:
                # A lost machine is detected in a minute instead of two hours.
                cursor.execute(
                    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; "
                    "SET tcp_keepalives_count = 3"
                )
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [self._key(number)])
            return bool(cursor.fetchone()[0])

    def _release(self, number: int, *, stopped: bool = False) -> None:
        self._held.discard(number)
        if (hand := self._hands.pop(number, None)) is not None:
            hand.release_all() if stopped else hand.close()
        with connection.cursor() as cursor:
            # A chunk taken from a stalled worker is not locked here. PostgreSQL then only warns.
            cursor.execute("SELECT pg_advisory_unlock(%s)", [self._key(number)])

    def _hangs(self, number: int) -> bool:
        """Return whether the owner of the chunk has been silent too long."""
        key = self._key(number)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT extract(epoch FROM clock_timestamp() - max(a.state_change)) FROM pg_locks l"
                " JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted"
                " AND l.classid::bigint = %s AND l.objid::bigint = %s AND l.objsubid = 1"
                " AND a.datname = current_database()",
                [key >> 32, key & 0xFFFFFFFF],
            )
            (silent,) = cursor.fetchone()
        if silent is not None and silent > STALLED_AFTER:
            logger.warning("Chunk %s is taken from a worker that has been silent for %.0f s.", number, silent)
            return True
        return False


@contextmanager
def block_embedding_of_chunk(
    number: int, encoder_ids: Sequence[int], wait: Callable[[], None]
) -> Iterator[None]:
    """Keep every worker from embedding a chunk of images with any of these encoders.

    `wait()` is called repeatedly while another worker still embeds the chunk.
    """
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
    """A thread that runs the calls of a chunk queue in order, so that storing and computing overlap.

    Inside a transaction (a test) the calls run in the caller's thread: another connection would not see its
    rows.
    """

    def __init__(self, chunks: ChunkQueue) -> None:
        self._share = chunks
        self._pool = None if connection.in_atomic_block else ThreadPoolExecutor(1, "storing")

    def __enter__(self) -> "StoringThread":
        return self

    def __exit__(self, *_exception: object) -> None:
        # Submitted results are stored first, also after an error: calls run in order.
        self.do(self._share.close).result()
        if self._pool is not None:
            # Evaluated in the thread, because `connection` differs in each thread.
            self.do(lambda: connection.close()).result()
            self._pool.shutdown()

    def do(self, call: Any, *arguments: Any, **options: Any) -> "Future[Any]":
        """Submit a call. Its result or error is in the returned future."""
        if self._pool is not None:
            return self._pool.submit(call, *arguments, **options)
        future: Future[Any] = Future()
        try:
            future.set_result(call(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future
