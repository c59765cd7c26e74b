"""Computation of the missing embeddings.

Stored embeddings stay, so a killed worker loses a chunk or two. One job leads. It asks idle workers for help
by a message (workers.tasks.help_encode). They embed chunks of the same dataset while the job is active and
nothing else waits for a worker. A helper has no job. The leading job shows the progress of all workers, and
it ends and requests predictions when nothing is missing.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mekiki.config import disk
from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.storage import open_picture, picture_path
from mekiki.jobs import broker
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.jobs.payloads import EncodePayload
from mekiki.jobs.services import enqueue, forget_deaths
from mekiki.labeling.selectors import can_predict
from mekiki.learning import models
from mekiki.learning.selectors import embedded_count, unreadable_by
from mekiki.learning.services import request_regrouping
from workers.encoders import EncodedChunk, EncoderError, stream_detail
from workers.runner import Report
from workers.steps.detail import detail_row, is_detail_computed
from workers.steps.encoders import encoder_for, images_without_embedding
from workers.steps.sharing import CHUNK, Chunk, ChunkQueue, StoringThread

logger = logging.getLogger(__name__)

# (images, needs_detail=…) → the chunks: Encoder.encode_stream, or the detail descriptor alone.
Stream = Callable[..., Iterator[EncodedChunk]]

# Missing images. With fewer, another worker would load the encoder in vain.
HELP_FROM = 4 * CHUNK
HELPERS = 8  # number of workers asked for help at the start
# Seconds of help. Then other work for this worker gets its turn: the sweeper and schedules have no job rows.
HELP_FOR = 60.0
ASK_EVERY = 15.0  # seconds between two further requests for one more helper
COUNT_EVERY = 1.0  # seconds between two counts of the embeddings that all workers have stored
KEEPALIVE_INTERVAL = 20.0  # seconds between two signs of life on the connection that locks the chunks


def run(job: Job, report: Report) -> dict[str, Any]:
    """Embed every image that has no embedding by the dataset's encoder, then request predictions.

    EncodePayload may name another encoder. The dataset's encoder then stays in use.
    """
    dataset = job.dataset
    assert dataset is not None
    name = EncodePayload.of(job).encoder or dataset.encoder_name
    report(stage="loading the encoder")
    encoder, row = encoder_for(dataset, name, report)
    logger.info("This worker leads job %s: dataset %s, encoder %s.", job.pk, dataset.pk, row.pk)
    descriptor = detail_row() if is_detail_computed(dataset) else None
    progress = _Progress(job, dataset, row, report)
    chunks = ChunkQueue(dataset, row, descriptor)
    _embed_all(encoder.encode_stream, encoder.dim, chunks, progress, job)
    result = progress.result() | {"encoder": row.name, "here": chunks.embedded}
    if descriptor is not None:
        # Images that were embedded before the dataset used the detail, or whose detail failed above. An image
        # that the encoder could not read is not read again: it may have killed a worker.
        missing = ChunkQueue(dataset, descriptor, embedded_by=row)
        if missing.left():
            progress = _Progress(job, dataset, descriptor, report, stage="computing local detail")
            _embed_all(_detail_stream, descriptor.dim, missing, progress, job)
            progress.result()
    dataset.refresh_from_db(fields=["encoder_name"])  # it may have changed during the hours of this run
    # Preparing another encoder also embeds by this stage, and requests predictions itself when it switches
    # over.
    own = job.kind == Kind.ENCODE and name == dataset.encoder_name
    if own and can_predict(dataset):
        enqueue(kind=Kind.PREDICT, dataset=dataset, user=job.created_by)
    if own:
        request_regrouping(dataset=dataset)
    return result


def _detail_stream(images: Iterable[Any], *, needs_detail: Any) -> Iterator[EncodedChunk]:
    """Return the stream of detail descriptors. `needs_detail` belongs to the streams of encoders."""
    return stream_detail(images)


def _embed_all(stream: Stream, dim: int, chunks: ChunkQueue, progress: "_Progress", job: Job) -> None:
    """Embed until no image is missing, including the images of other workers' chunks."""
    passed = partial(forget_deaths, job)
    with StoringThread(chunks) as thread:
        while True:
            _embed_chunks(stream, dim, chunks, thread, progress.tick, passed=passed)
            # Other workers may still hold chunks, and an import that committed meanwhile may have images with
            # smaller ids.
            if not thread.do(chunks.left).result():
                break
            progress.tick(0)
            thread.do(chunks.rewind)
            if not _embed_chunks(
                stream, dim, chunks, thread, progress.tick, take_from_hung=True, passed=passed
            ):
                time.sleep(0.2)
            thread.do(chunks.rewind)


def help_with(job_id: str, encoder_id: int) -> int:
    """Embed chunks for a job that another worker leads; return the number of embedded images.

    It stops when other work waits. It ends at once if the invitation comes late, or if this machine cannot
    load the same encoder as the leading worker (other weights under the same name, or another precision
    because there is no GPU).
    """
    # Preparing another encoder also embeds by this stage.
    kinds = [Kind.ENCODE, Kind.CHANGE_ENCODER]
    job = Job.objects.select_related("dataset").filter(pk=job_id, kind__in=kinds).first()
    if job is None or job.dataset is None or not _help_is_needed(job_id) or disk.shortage_reason():
        return 0
    try:
        encoder, row = encoder_for(job.dataset, EncodePayload.of(job).encoder or "")
    except EncoderError as error:
        logger.warning("This worker cannot help with job %s: %s", job_id, error)
        return 0
    if row.pk != encoder_id:
        logger.warning("This worker cannot help with job %s: %s is another encoder here.", job_id, row.name)
        return 0
    descriptor = detail_row() if is_detail_computed(job.dataset) else None
    chunks = ChunkQueue(job.dataset, row, descriptor)
    with StoringThread(chunks) as thread:
        until = time.monotonic() + HELP_FOR
        _embed_chunks(
            encoder.encode_stream,
            encoder.dim,
            chunks,
            thread,
            lambda step: None,
            wanted=lambda: time.monotonic() < until and _help_is_needed(job_id),
        )
    return chunks.embedded


def _help_is_needed(job_id: str) -> bool:
    """Return whether the job still needs help and no other job waits for an idle worker."""
    active = Job.objects.filter(pk=job_id, state__in=ACTIVE_STATES, cancel_requested=False).exists()
    return active and not Job.objects.filter(state=State.QUEUED).exists()


def _embed_chunks(
    stream: Stream,
    dim: int,
    chunks: ChunkQueue,
    thread: StoringThread,
    tick: Callable[[int], None],
    *,
    wanted: Callable[[], bool] = lambda: True,
    take_from_hung: bool = False,
    passed: Callable[[], None] = lambda: None,
) -> bool:
    """Embed chunk after chunk until none is free; return whether there was any.

    `tick(n)` is called with the number of images that are computed and not stored yet. The images of all
    chunks form one stream, so the device does not wait between chunks. Meanwhile finished chunks are stored
    and the next ones claimed.

    It ends after a chunk with which a worker died: the images of that chunk are embedded one at a time, with
    no other image in progress. `passed()` is called when that chunk is done.
    """
    under_way: dict[int, _ChunkInProgress] = {}  # by image id
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
            chunk = _ChunkInProgress(claimed)
            under_way.update((image.pk, chunk) for image in claimed.images)
            for image in claimed.images:
                yield image.pk, picture_path(image) or partial(_read_display_file, image)

    def needs_detail(pk: int) -> bool:
        return pk in under_way[pk].claimed.needs_detail

    parts = cast("Generator[EncodedChunk, None, None]", stream(images(), needs_detail=needs_detail))
    with closing(parts):
        for part in parts:
            for pk, vector in zip(part.keys, part.vectors, strict=True):
                under_way[pk].vectors[pk] = vector
            for pk, detail in part.detail.items():
                under_way[pk].detail[pk] = detail
            for pk, error in part.errors.items():
                under_way[pk].problems[pk] = str(error)
            for pk in [*part.keys, *part.errors]:
                chunk = under_way.pop(pk)
                chunk.left -= 1
                if not chunk.left:
                    vectors = np.array(list(chunk.vectors.values())).reshape(-1, dim)
                    results = (list(chunk.vectors), vectors, chunk.problems, chunk.detail)
                    storing.append(thread.do(chunks.store, chunk.claimed, *results))
                while storing and (len(storing) > 2 or storing[0].done()):
                    storing.popleft().result()
            tick(sum(chunk.done() for chunk in {id(chunk): chunk for chunk in under_way.values()}.values()))
            if time.monotonic() - reported_at > KEEPALIVE_INTERVAL:
                reported_at = time.monotonic()
                thread.do(chunks.alive)
    for stored in storing:
        stored.result()
    if suspect is not None:
        _embed_one_by_one(stream, suspect, chunks, thread, tick)
        passed()
    return any_done


def _embed_one_by_one(
    stream: Stream, chunk: Chunk, chunks: ChunkQueue, thread: StoringThread, tick: Callable[[int], None]
) -> None:
    """Embed the images of a chunk with which a worker died. Each is stored before the next one starts."""
    logger.warning("A worker died with chunk %s in its hands; its images are embedded singly.", chunk.number)
    for image in chunk.images:
        thread.do(chunks.begin_alone, chunk, image.pk).result()
        item = picture_path(image) or partial(_read_display_file, image)
        for part in stream([(image.pk, item)], needs_detail=chunk.needs_detail.__contains__):
            problems = {pk: str(error) for pk, error in part.errors.items()}
            thread.do(chunks.store_one, chunk, part.keys, part.vectors, problems, part.detail).result()
        tick(0)
    thread.do(chunks.release, chunk).result()


@dataclass
class _ChunkInProgress:
    """A claimed chunk while it is computed."""

    claimed: Chunk
    vectors: dict[int, NDArray[Any]] = field(default_factory=dict)  # by image id
    detail: dict[int, NDArray[Any]] = field(default_factory=dict)  # by image id
    problems: dict[int, str] = field(default_factory=dict)  # image id → why it could not be read
    left: int = field(init=False)  # images that are not computed yet

    def __post_init__(self) -> None:
        self.left = len(self.claimed.images)

    def done(self) -> int:
        return len(self.claimed.images) - self.left


def _read_display_file(image: Image) -> bytes:
    """Return the displayed file of an image from a storage without local paths.

    Raises FileNotFoundError if it is not there.
    """
    with open_picture(image) as file:
        return file.read()


class _Progress:
    """Progress of all workers, reported as the progress of the leading job. It also asks workers for help."""

    def __init__(
        self,
        job: Job,
        dataset: Dataset,
        row: models.Encoder,
        report: Report,
        stage: str = "computing embeddings",
    ) -> None:
        self._job, self._dataset, self._row, self._report = job, dataset, row, report
        self._begun = self._now = self._count()
        self._total = images_without_embedding(dataset, row).count()
        self._done = 0
        self._counted = time.monotonic()
        self._asked = self._counted
        report(stage=stage, done=0, total=self._total, unit="images")
        for _number in range(HELPERS if self._total >= HELP_FROM else 0):
            self._ask_for_help()

    def tick(self, computed_not_stored: int) -> None:
        """Report the progress. `in_hand` is the number of images computed here and not stored yet.

        Raises the exceptions of Report, which must stop the stage.
        """
        now = time.monotonic()
        if now - self._counted >= COUNT_EVERY:
            self._counted, self._now = now, self._count()
        stored = sum(self._now) - sum(self._begun)
        self._done = max(self._done, stored, min(stored + computed_not_stored, self._total))
        self._total = max(self._total, self._done)
        self._report(done=self._done, total=self._total)
        if now - self._asked >= ASK_EVERY and self._total - self._done >= HELP_FROM:
            self._asked = now
            self._ask_for_help()

    def result(self) -> dict[str, Any]:
        """Return what all workers have done since this job began."""
        self._now, self._counted = self._count(), time.monotonic()
        self.tick(0)
        embedded, unreadable = (
            max(0, now - begun) for now, begun in zip(self._now, self._begun, strict=True)
        )
        return {"embedded": embedded, "unreadable": unreadable}

    def _count(self) -> tuple[int, int]:
        embedded = embedded_count(encoder=self._row, dataset=self._dataset)
        return embedded, unreadable_by(self._dataset, self._row)

    def _ask_for_help(self) -> None:
        if self._row.kind == models.Encoder.Kind.DETAIL:
            return  # a helper would load the encoder in vain
        # A late invitation has no effect. Without help the job only takes longer.
        broker.send("workers.tasks.help_encode", [str(self._job.pk), self._row.pk])
