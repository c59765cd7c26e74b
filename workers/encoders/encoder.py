"""One loaded encoder: images and texts in, unit vectors out."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .decode import Item, picture
from .errors import EncoderError, PictureError

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int], None]
_AHEAD = 2  # batches decoded ahead of the network: enough to overlap, and memory stays flat


@dataclass(frozen=True)
class EncodedBatch:
    """``vectors`` (m, d) float32 of the m items that could be read, ``ok_indices`` (m,) where they stood in the
    input, ``errors`` the reason for each of the others, by index."""

    vectors: np.ndarray
    ok_indices: np.ndarray
    errors: dict[int, str]


@dataclass(frozen=True)
class Encoder:
    """An open_clip model ready to use. ``digest`` is the SHA-256 of its weights; vectors of another digest or
    precision are not comparable with this one's. ``precision`` is `fp32`, or `amp` on a GPU."""

    name: str
    digest: str
    precision: str
    dim: int
    logit_scale: float
    context_length: int
    device: str
    image_side: int
    model: Any = field(repr=False)
    geometry: Callable[[Any], Any] = field(repr=False)  # PIL → PIL of the size the network takes
    mean: tuple[float, ...] = field(repr=False)
    std: tuple[float, ...] = field(repr=False)
    tokenize: Callable[[list[str]], Any] = field(repr=False)  # texts → (n, t) ids
    count: Callable[[str], int] = field(repr=False)
    embed_ids: Callable[[Any, Any], Any] = field(repr=False)  # (model, ids) → (n, d)

    def encode_images(
        self, items: Sequence[Item], *, batch: int | None = None, progress: Progress | None = None
    ) -> EncodedBatch:
        """Embed images given as paths, bytes or PIL images.

        An image that cannot be read is reported in ``errors`` and the rest goes on. ``batch`` defaults to 64 on a
        CPU and 256 on a GPU. ``progress(done, total)`` is called after every batch.
        Raises: EncoderError when the network itself fails (out of memory, say).
        """
        import torch

        size = batch or (64 if self.device == "cpu" else 256)
        vectors: list[np.ndarray] = []
        kept: list[int] = []
        errors: dict[int, str] = {}
        done = 0
        for indices, pixels, failed in self._decoded(items, size):
            errors.update(failed)
            if indices:
                vectors.append(self._embed_pixels(torch.from_numpy(pixels)))
                kept += indices
            done += len(indices) + len(failed)
            if progress:
                progress(done, len(items))
        joined = np.concatenate(vectors) if vectors else np.empty((0, self.dim), np.float32)
        return EncodedBatch(joined, np.asarray(kept, np.int64), errors)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32 unit vectors. A text over the context length loses its tail: ask :meth:`too_long` first."""
        import torch

        rows = []
        for start in range(0, len(texts), 128):
            with torch.inference_mode(), self._autocast(), _told("embedding text"):
                ids = torch.as_tensor(self.tokenize(list(texts[start : start + 128]))).to(self.device)
                rows.append(_unit(self.embed_ids(self.model, ids)))
        return np.concatenate(rows) if rows else np.empty((0, self.dim), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, marks of start and end included, before anything is cut."""
        return [self.count(text) for text in texts]

    def too_long(self, texts: Sequence[str]) -> list[int]:
        """Indices of the texts that do not fit the context and would be cut."""
        return [
            number for number, count in enumerate(self.count_tokens(texts)) if count > self.context_length
        ]

    def _prepared(self, item: Item) -> np.ndarray:
        return np.asarray(self.geometry(picture(item, side=self.image_side)), np.uint8)

    def _decoded(
        self, items: Sequence[Item], size: int
    ) -> Iterator[tuple[list[int], np.ndarray, dict[int, str]]]:
        """Batches of (indices, (b, h, w, 3) uint8, reasons by index), decoded by threads a little ahead."""
        with ThreadPoolExecutor(max_workers=min(16, (os.cpu_count() or 2) + 1)) as pool:
            waiting: list[tuple[int, list[Future[np.ndarray]]]] = []
            starts = iter(range(0, len(items), size))
            while True:
                while len(waiting) <= _AHEAD and (start := next(starts, None)) is not None:
                    futures = [pool.submit(self._prepared, item) for item in items[start : start + size]]
                    waiting.append((start, futures))
                if not waiting:
                    return
                first, futures = waiting.pop(0)
                indices, arrays, failed = [], [], {}
                for offset, future in enumerate(futures):
                    try:
                        arrays.append(future.result())
                        indices.append(first + offset)
                    except PictureError as error:
                        failed[first + offset] = str(error)
                yield indices, np.stack(arrays) if arrays else np.empty((0,)), failed

    def _embed_pixels(self, pixels: "torch.Tensor") -> np.ndarray:
        """(b, h, w, 3) uint8 → (b, d) float32 unit vectors. Channels stay last in memory, as convolutions like it."""
        import torch

        if self.device != "cpu":
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        with torch.inference_mode(), self._autocast(), _told("embedding images"):
            mean = torch.tensor(self.mean, device=pixels.device) * 255
            std = torch.tensor(self.std, device=pixels.device) * 255
            return _unit(self.model.encode_image(((pixels.float() - mean) / std).permute(0, 3, 1, 2)))

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        import torch

        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.split(":")[0], dtype=torch.float16)


def _unit(features: "torch.Tensor") -> np.ndarray:
    from torch.nn import functional as F

    return F.normalize(features.float(), dim=-1).cpu().numpy()


@contextlib.contextmanager
def _told(act: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise EncoderError(
            f"The encoder failed while {act}: {error}", "run_failed", reason=str(error)
        ) from error
