"""The stream of images through an encoder: fetch → decode → preprocess → batch → network.

On a CPU the unit of work is a whole batch. One thread decodes it and runs the network on it with one torch
thread, and there are as many batches in progress as cores. No thread waits for another inside a layer, and
decoding does not compete with a network that uses all cores. Measured for `pocket` on a busy machine of two
cores: the network took a quarter of the processor time that it takes with two torch threads, which wait for
each other by spinning.

On a GPU, threads decode into pinned memory. A second stream copies a batch to the GPU while the network works
on the batch before, and its vectors are copied back while the next batch is computed.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from .decode import ImageSource, open_picture
from .detail import DIM, detail_vector
from .errors import PictureError, wrap_encoder_errors
from .results import EncodedChunk

if TYPE_CHECKING:
    from .encoder import Encoder

Keyed = tuple[Hashable, ImageSource | Callable[[], ImageSource]]
Fetched = list[tuple[Hashable, Callable[[], ImageSource]]]
NeedsDetail = Callable[[Hashable], bool]
# Returns what the network takes, and the detail descriptor if it is computed too. Raises PictureError.
Read = Callable[[Hashable, ImageSource], tuple[np.ndarray, np.ndarray | None]]
CPU_BATCH, GPU_BATCH = 16, 256
_FETCHERS = 8  # threads that only wait for a storage


def core_count() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stream_chunks(
    encoder: "Encoder",
    items: Iterable[Keyed],
    *,
    batch: int | None,
    workers: int | None,
    needs_detail: NeedsDetail | None = None,
) -> Iterator[EncodedChunk]:
    """Return the chunks of a stream; see Encoder.encode_stream."""
    on_cpu = encoder.device == "cpu" or encoder.tower is not None
    size = max(1, batch or (CPU_BATCH if on_cpu else GPU_BATCH))

    def read(key: Hashable, item: ImageSource) -> tuple[np.ndarray, np.ndarray | None]:
        if needs_detail is None or not needs_detail(key):
            return encoder.prepared(item), None
        return encoder.prepared_with_detail(item)

    threads = max(1, workers or core_count())
    if on_cpu:
        return _on_cpu(encoder.dim, read, encoder.embed_pixels, iter(items), size, threads)
    return _on_gpu(encoder, read, iter(items), size, threads)


def stream_detail(items: Iterable[Keyed], *, workers: int | None = None) -> Iterator[EncodedChunk]:
    """Return the chunks of a stream whose vectors are the detail descriptors; see Encoder.encode_stream."""

    def read(_key: Hashable, item: ImageSource) -> tuple[np.ndarray, None]:
        with open_picture(item, side=None) as image:
            return detail_vector(image), None

    return _on_cpu(DIM, read, np.asarray, iter(items), CPU_BATCH, max(1, workers or core_count()))


def _batches(items: Iterator[Keyed], size: int) -> Iterator[list[Keyed]]:
    while some := list(islice(items, size)):
        yield some


def _fetch(item: ImageSource | Callable[[], ImageSource]) -> ImageSource:
    try:
        return item() if callable(item) else item
    except FileNotFoundError as error:
        raise PictureError("the file does not exist", "missing") from error


class _Fetcher:
    """Fetcher that calls the items that are functions in threads; paths and bytes are passed on."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, some: list[Keyed]) -> Fetched:
        return [(key, self._begun(item)) for key, item in some]

    def _begun(self, item: ImageSource | Callable[[], ImageSource]) -> Callable[[], ImageSource]:
        if not callable(item):
            return lambda: item
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_FETCHERS, thread_name_prefix="fetch")
            self._stack.callback(self._pool.shutdown, wait=True, cancel_futures=True)
        return self._pool.submit(_fetch, item).result


@dataclass
class _Decoded:
    """Decoded images: the pixels for the network by key, and what `EncodedChunk` holds besides vectors."""

    pixels: dict[Hashable, np.ndarray] = field(default_factory=dict)
    errors: dict[Hashable, PictureError] = field(default_factory=dict)
    detail: dict[Hashable, np.ndarray] = field(default_factory=dict)

    def add(self, other: "_Decoded") -> None:
        self.pixels |= other.pixels
        self.errors |= other.errors
        self.detail |= other.detail

    def chunk(self, vectors: np.ndarray) -> EncodedChunk:
        return EncodedChunk(list(self.pixels), vectors, self.errors, self.detail)


def _decoded(read: Read, some: Fetched) -> _Decoded:
    decoded = _Decoded()
    for key, fetched in some:
        try:
            decoded.pixels[key], detail = read(key, fetched())
            if detail is not None:
                decoded.detail[key] = detail
        except PictureError as error:
            decoded.errors[key] = error
    return decoded


def _on_cpu(
    dim: int,
    read: Read,
    embed: Callable[[np.ndarray], np.ndarray],
    items: Iterator[Keyed],
    size: int,
    workers: int,
) -> Iterator[EncodedChunk]:
    def work(some: Fetched) -> EncodedChunk:
        decoded = _decoded(read, some)
        if not decoded.pixels:
            return decoded.chunk(np.empty((0, dim), np.float32))
        return decoded.chunk(embed(np.stack(list(decoded.pixels.values()))))

    with contextlib.ExitStack() as stack:
        fetching = _Fetcher(stack)
        batches = _batches(items, size)
        first = list(islice(batches, 2))
        if len(first) < 2 or workers == 1:  # few images, for example a search: the network may use every core
            for some in first:
                yield work(fetching(some))
            for some in batches:
                yield work(fetching(some))
            return
        stack.enter_context(_single_threaded)
        pool = ThreadPoolExecutor(workers, thread_name_prefix="encode", initializer=_one_thread)
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        waiting: deque[Future[EncodedChunk]] = deque(pool.submit(work, fetching(some)) for some in first)
        for some in batches:
            waiting.append(pool.submit(work, fetching(some)))
            # One batch more than there are threads is ready, so that no thread waits for the consumer.
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


class _SingleThreaded:
    """Context in which torch uses one thread per operation; the last exit restores the number of threads.

    The setting belongs to the process, so streams in several threads share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 1

    def __enter__(self) -> None:
        import torch

        with self._lock:
            if not self._users:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)
            self._users += 1

    def __exit__(self, *_error: object) -> None:
        import torch

        with self._lock:
            self._users -= 1
            if not self._users:
                torch.set_num_threads(self._before)


_single_threaded = _SingleThreaded()


def _on_gpu(
    encoder: "Encoder", read: Read, items: Iterator[Keyed], size: int, workers: int
) -> Iterator[EncodedChunk]:
    """Keep two batches on the device.

    While one batch is computed, the next is copied to the device and the batch before is read.
    """
    import torch

    copying = torch.cuda.Stream(device=encoder.device)

    def begin(pixels: Any) -> tuple[Any, Any, Any]:
        """Start copy and computation without waiting.

        Return (vectors to come, event that signals them, pixels that must stay alive).
        """
        with torch.cuda.stream(copying):
            there = pixels.to(encoder.device, non_blocking=True)
        computing = torch.cuda.current_stream(encoder.device)
        computing.wait_stream(copying)
        there.record_stream(computing)  # keep its memory while the network reads it
        with torch.inference_mode(), encoder.autocast(), wrap_encoder_errors("embedding images"):
            vectors = encoder.embed_tensor(there)
            back = torch.empty(vectors.shape, dtype=torch.float32, pin_memory=True)
            back.copy_(vectors, non_blocking=True)
        ready = torch.cuda.Event()
        ready.record(computing)
        return back, ready, pixels

    def finish(begun: Any) -> EncodedChunk:
        decoded, flight = begun
        if flight is None:
            return decoded.chunk(np.empty((0, encoder.dim), np.float32))
        back, ready, _pixels = flight
        with wrap_encoder_errors("embedding images"):
            ready.synchronize()
        return decoded.chunk(back.numpy().copy())

    with contextlib.ExitStack() as stack:
        fetching = _Fetcher(stack)
        pool = ThreadPoolExecutor(min(32, workers), thread_name_prefix="decode")
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        step = max(1, size // max(1, 2 * workers))  # all threads decode one batch together

        def decoding(some: list[Keyed]) -> list[Future[Any]]:
            begun = fetching(some)
            return [pool.submit(_decoded, read, begun[i : i + step]) for i in range(0, len(begun), step)]

        def gathered(parts: list[Future[_Decoded]]) -> tuple[_Decoded, Any]:
            decoded = _Decoded()
            for part in parts:
                decoded.add(part.result())
            arrays = list(decoded.pixels.values())
            if not arrays:
                return decoded, None
            pixels = torch.empty((len(arrays), *arrays[0].shape), dtype=torch.uint8, pin_memory=True)
            np.stack(arrays, out=pixels.numpy())
            return decoded, pixels

        batches = _batches(items, size)
        waiting: deque[list[Future[_Decoded]]] = deque(decoding(some) for some in islice(batches, 2))
        flying: deque[Any] = deque()
        while waiting:
            batch, pixels = gathered(waiting.popleft())
            flying.append((batch, None if pixels is None else begin(pixels)))
            waiting.extend(decoding(some) for some in islice(batches, 1))
            if len(flying) > 1:
                yield finish(flying.popleft())
        while flying:
            yield finish(flying.popleft())
