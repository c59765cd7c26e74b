"""Compute the embeddings that are missing. What is stored stays, so a kill costs a chunk or two.

One job leads. It asks idle workers for help by a message (workers.tasks.help_encode); they embed
chunks of the same dataset as long as the job is active and nothing else waits for a worker. A helper has no job of
its own: the leading one shows the progress of all, and ends, and asks for predictions, when nothing is missing.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mekiki.config import disk
from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.storage import open_shown, shown_path
from mekiki.jobs import broker
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.services import enqueue, forget_deaths
from mekiki.labeling.selectors import can_predict
from mekiki.learning import models
from mekiki.learning.selectors import embedded_count, encoding_problems
from workers.encoders import EncodedChunk, Encoder, EncoderError
from workers.runner import Report
from workers.steps.encoders import encoder_for, missing
from workers.steps.sharing import CHUNK, Chunk, ChunkQueue, StoringThread

logger = logging.getLogger(__name__)

HELP_FROM = 4 * CHUNK  # missing images: for fewer, another worker would load the encoder in vain
HELPERS = 8  # asked for at the beginning
HELP_FOR = 60.0  # seconds; then what else waits for a worker has its turn (the sweeper, schedules: they have no rows)
ASK_EVERY = 15.0  # seconds; then for one more each time
COUNT_EVERY = 1.0  # seconds between two looks at what all workers have stored
SAY_EVERY = 20.0  # seconds between two signs of life on the connection that holds the chunks


def run(job: Job, report: Report) -> dict[str, Any]:
    """Embed every image that has no embedding by the dataset's encoder, then ask for predictions.

    payload: {"encoder": NAME} embeds for another encoder instead, while the dataset's own goes on serving.
    """
    dataset = job.dataset
    assert dataset is not None
    name = job.payload.get("encoder") or dataset.encoder_name
    report(stage="loading the encoder")
    encoder, row = encoder_for(dataset, name, report)
    progress = _Progress(job, dataset, row, report)
    logger.info("This worker leads job %s: dataset %s, encoder %s.", job.pk, dataset.pk, row.pk)
    chunks = ChunkQueue(dataset, row)
    passed = partial(forget_deaths, job)
    with StoringThread(chunks) as thread:
        while True:
            _embed_chunks(encoder, chunks, thread, progress.tick, passed=passed)
            # Others may hold chunks still, and images of an import that committed meanwhile may have smaller ids.
            if not thread.do(chunks.left).result():
                break
            progress.tick(0)
            thread.do(chunks.rewind)
            if not _embed_chunks(encoder, chunks, thread, progress.tick, take_from_hung=True, passed=passed):
                time.sleep(0.2)
            thread.do(chunks.rewind)
    result = progress.result() | {"encoder": row.name, "here": chunks.embedded}
    dataset.refresh_from_db(fields=["encoder_name"])  # it may have been changed while this took its hours
    # Preparing another encoder embeds by this stage too, and asks for predictions itself when it switches over.
    own = job.kind == Kind.ENCODE and name == dataset.encoder_name
    if own and can_predict(dataset):
        enqueue(kind=Kind.PREDICT, dataset=dataset, user=job.created_by)
    return result


def help_with(job_id: str, encoder_id: int) -> int:
    """Embed chunks for a job that another worker leads, while nothing else waits; how many images that were.

    An invitation that comes late, or to a machine that cannot load the very encoder of the one who leads (other
    weights under the same name, another precision for want of a GPU), ends at once.
    """
    # Preparing another encoder embeds by this stage too.
    kinds = [Kind.ENCODE, Kind.CHANGE_ENCODER]
    job = Job.objects.select_related("dataset").filter(pk=job_id, kind__in=kinds).first()
    if job is None or job.dataset is None or not _wanted(job_id) or disk.shortage():
        return 0
    try:
        encoder, row = encoder_for(job.dataset, job.payload.get("encoder") or "")
    except EncoderError as error:
        logger.warning("This worker cannot help with job %s: %s", job_id, error)
        return 0
    if row.pk != encoder_id:
        logger.warning("This worker cannot help with job %s: %s is another encoder here.", job_id, row.name)
        return 0
    chunks = ChunkQueue(job.dataset, row)
    with StoringThread(chunks) as thread:
        until = time.monotonic() + HELP_FOR
        _embed_chunks(
            encoder,
            chunks,
            thread,
            lambda step: None,
            wanted=lambda: time.monotonic() < until and _wanted(job_id),
        )
    return chunks.embedded


def _wanted(job_id: str) -> bool:
    """Is help still wanted, and is there nothing else that an idle worker should do first?"""
    active = Job.objects.filter(pk=job_id, state__in=ACTIVE_STATES, cancel_requested=False).exists()
    return active and not Job.objects.filter(state=State.QUEUED).exists()


def _embed_chunks(
    encoder: Encoder,
    chunks: ChunkQueue,
    thread: StoringThread,
    tick: Callable[[int], None],
    *,
    wanted: Callable[[], bool] = lambda: True,
    take_from_hung: bool = False,
    passed: Callable[[], None] = lambda: None,
) -> bool:
    """Embed chunk after chunk until none is free; was there any? tick(n): n images are computed and not stored yet.

    It ends after a chunk with which a worker died: its images are embedded one at a time, with nothing else in hand.
    passed(): that is behind us.

    The images of all chunks are one stream, so that the device never waits at their seams; meanwhile finished chunks
    are stored and the next ones claimed.
    """
    under_way: dict[int, _Chunk] = {}  # by image id
    storing: deque[Future[Any]] = deque()
    reported_at, any_done = time.monotonic(), False
    suspect: Chunk | None = None

    def images() -> Iterator[tuple[int, Any]]:
        nonlocal any_done, suspect
        ahead = thread.do(chunks.claim, take_from_hung=take_from_hung)
        while (claimed := ahead.result()) is not None and wanted():
            any_done = True
            if claimed.suspect:
                suspect = claimed
                return
            ahead = thread.do(chunks.claim, take_from_hung=take_from_hung)
            chunk = _Chunk(claimed)
            under_way.update((image.pk, chunk) for image in claimed.images)
            for image in claimed.images:
                yield image.pk, shown_path(image) or partial(_fetched, image)

    stream = cast("Generator[EncodedChunk, None, None]", encoder.encode_stream(images()))
    with closing(stream):
        for part in stream:
            for pk, vector in zip(part.keys, part.vectors, strict=True):
                under_way[pk].vectors[pk] = vector
            for pk, error in part.errors.items():
                under_way[pk].problems[pk] = str(error)
            for pk in [*part.keys, *part.errors]:
                chunk = under_way.pop(pk)
                chunk.left -= 1
                if not chunk.left:
                    vectors = np.array(list(chunk.vectors.values())).reshape(-1, encoder.dim)
                    storing.append(
                        thread.do(chunks.store, chunk.claimed, list(chunk.vectors), vectors, chunk.problems)
                    )
                while storing and (len(storing) > 2 or storing[0].done()):
                    storing.popleft().result()
            tick(sum(chunk.done() for chunk in {id(chunk): chunk for chunk in under_way.values()}.values()))
            if time.monotonic() - reported_at > SAY_EVERY:
                reported_at = time.monotonic()
                thread.do(chunks.alive)
    for stored in storing:
        stored.result()
    if suspect is not None:
        _embed_one_by_one(encoder, suspect, chunks, thread, tick)
        passed()
    return any_done


def _embed_one_by_one(
    encoder: Encoder, chunk: Chunk, chunks: ChunkQueue, thread: StoringThread, tick: Callable[[int], None]
) -> None:
    """Embed the images of a chunk with which a worker died. Each is stored before the next is begun."""
    logger.warning("A worker died with chunk %s in its hands; its images are embedded singly.", chunk.number)
    for image in chunk.images:
        thread.do(chunks.begin_alone, chunk, image.pk).result()
        item = shown_path(image) or partial(_fetched, image)
        for part in encoder.encode_stream([(image.pk, item)]):
            problems = {pk: str(error) for pk, error in part.errors.items()}
            thread.do(chunks.store_one, chunk, part.keys, part.vectors, problems).result()
        tick(0)
    thread.do(chunks.let_go, chunk).result()


@dataclass
class _Chunk:
    """A claimed chunk while it is computed."""

    claimed: Chunk
    vectors: dict[int, NDArray[Any]] = field(default_factory=dict)  # by image id
    problems: dict[int, str] = field(default_factory=dict)  # image id → why it could not be read
    left: int = field(init=False)  # images that are still to be computed

    def __post_init__(self) -> None:
        self.left = len(self.claimed.images)

    def done(self) -> int:
        return len(self.claimed.images) - self.left


def _fetched(image: Image) -> bytes:
    """The file that people are shown, from a storage without local paths. FileNotFoundError: it is not there."""
    with open_shown(image) as file:
        return file.read()


class _Progress:
    """How far all workers are together, told as the progress of the leading job; and who is asked for help."""

    def __init__(self, job: Job, dataset: Dataset, row: models.Encoder, report: Report) -> None:
        self._job, self._dataset, self._row, self._report = job, dataset, row, report
        self._begun = self._now = self._count()
        self._total = missing(dataset, row).count()
        self._done = 0
        self._counted = time.monotonic()
        self._asked = self._counted
        report(stage="computing embeddings", done=0, total=self._total, unit="images")
        for _number in range(HELPERS if self._total >= HELP_FROM else 0):
            self._ask_for_help()

    def tick(self, in_hand: int) -> None:
        """Tell how far it is; in_hand: images computed here and not stored yet. Raises what must stop the stage."""
        now = time.monotonic()
        if now - self._counted >= COUNT_EVERY:
            self._counted, self._now = now, self._count()
        stored = sum(self._now) - sum(self._begun)
        self._done = max(self._done, stored, min(stored + in_hand, self._total))
        self._total = max(self._total, self._done)
        self._report(done=self._done, total=self._total)
        if now - self._asked >= ASK_EVERY and self._total - self._done >= HELP_FROM:
            self._asked = now
            self._ask_for_help()

    def result(self) -> dict[str, Any]:
        """What all workers have done since this job began."""
        self._now, self._counted = self._count(), time.monotonic()
        self.tick(0)
        embedded, unreadable = (
            max(0, now - begun) for now, begun in zip(self._now, self._begun, strict=True)
        )
        return {"embedded": embedded, "unreadable": unreadable}

    def _count(self) -> tuple[int, int]:
        problems = encoding_problems(self._dataset).filter(encoder=self._row).order_by().count()
        return embedded_count(encoder=self._row, dataset=self._dataset), problems

    def _ask_for_help(self) -> None:
        # An invitation that comes late finds that no help is wanted; without help it only takes longer.
        broker.send("workers.tasks.help_encode", [str(self._job.pk), self._row.pk])
