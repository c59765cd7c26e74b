"""One loaded encoder: images and texts in, unit vectors out."""

import contextlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .decode import Item, open_picture
from .errors import EncoderError, PictureError

if TYPE_CHECKING:
    import torch

    from .onnx_tower import OnnxTower

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EncodedBatch:
    """``vectors`` (m, d) float32 of the m items that could be read, ``ok_indices`` (m,) where they stood in the
    input, ``errors`` the reason for each of the others, by index."""

    vectors: np.ndarray
    ok_indices: np.ndarray
    errors: dict[int, str]


@dataclass(frozen=True)
class EncodedChunk:
    """A stretch of a stream, in its order: ``vectors`` (m, d) float32 belong to ``keys`` (m of them), ``errors``
    has the reason for each of the others, by key."""

    keys: list[Any]
    vectors: np.ndarray
    errors: dict[Any, PictureError]

    def __len__(self) -> int:
        return len(self.keys) + len(self.errors)


@dataclass(frozen=True)
class Encoder:
    """An open_clip model ready to use. Vectors of another ``digest`` (see identity.py) or ``precision`` are not
    comparable with this one's. ``precision`` is `fp32`, `amp` on a GPU, or that of a variant: `onnx`, `int8`."""

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
    tower: "OnnxTower | None" = field(repr=False, default=None)  # takes the place of the model's image tower

    def encode_stream(
        self,
        items: Iterable[tuple[Hashable, Item | Callable[[], Item]]],
        *,
        batch: int | None = None,
        workers: int | None = None,
    ) -> Iterator[EncodedChunk]:
        """Embed a stream of (key, image), where an image is a path, the bytes of a file, a PIL image, or a
        function that fetches one of these (called in a thread).

        Chunks of at most ``batch`` come in the order of the stream. A bounded number of images is fetched and
        decoded ahead, across chunks, so memory does not grow with the stream and nothing waits at its seams.
        ``items`` is read in the caller's own thread. An image that cannot be read is reported in its chunk and the
        rest goes on; what else a fetching function raises comes out here. Close the iterator to stop early.
        Raises: EncoderError when the network itself fails (out of memory, say).
        """
        from .pipeline import stream

        return stream(self, items, batch=batch, workers=workers)

    def encode_images(
        self, items: Sequence[Item], *, batch: int | None = None, progress: Progress | None = None
    ) -> EncodedBatch:
        """Embed images given as paths, bytes or PIL images.

        An image that cannot be read is reported in ``errors`` and the rest goes on. ``progress(done, total)`` is
        called after every batch. Raises: EncoderError when the network itself fails (out of memory, say).
        """
        vectors: list[np.ndarray] = []
        kept: list[int] = []
        errors: dict[int, str] = {}
        done = 0
        for chunk in self.encode_stream(enumerate(items), batch=batch):
            vectors.append(chunk.vectors)
            kept += chunk.keys
            errors |= {key: str(error) for key, error in chunk.errors.items()}
            done += len(chunk)
            if progress:
                progress(done, len(items))
        joined = np.concatenate(vectors) if vectors else np.empty((0, self.dim), np.float32)
        return EncodedBatch(joined, np.asarray(kept, np.int64), errors)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(n, d) float32 unit vectors. A text over the context length loses its tail: ask :meth:`too_long` first."""
        import torch

        rows = []
        for start in range(0, len(texts), 128):
            with torch.inference_mode(), self.autocast(), wrap_encoder_errors("embedding text"):
                ids = torch.as_tensor(self.tokenize(list(texts[start : start + 128]))).to(self.device)
                rows.append(unit(self.embed_ids(self.model, ids)).cpu().numpy())
        return np.concatenate(rows) if rows else np.empty((0, self.dim), np.float32)

    @cached_property
    def probe(self) -> np.ndarray:
        """(n, d) float32: what it computes here from known pictures and sentences. Computed once a load."""
        from .probing import probe_vectors

        return probe_vectors(self)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, marks of start and end included, before anything is cut."""
        return [self.count(text) for text in texts]

    def too_long(self, texts: Sequence[str]) -> list[int]:
        """Indices of the texts that do not fit the context and would be cut."""
        return [
            number for number, count in enumerate(self.count_tokens(texts)) if count > self.context_length
        ]

    def prepared(self, item: Item) -> np.ndarray:
        """(h, w, 3) uint8 of the size the network takes. Raises: PictureError."""
        with open_picture(item, side=self.image_side) as image:
            return np.array(self.geometry(image), np.uint8)

    def embed_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """(b, h, w, 3) uint8 → (b, d) float32 unit vectors, by whichever tower this encoder has."""
        import torch

        if self.tower is not None:
            return self.tower(pixels)
        with torch.inference_mode(), self.autocast(), wrap_encoder_errors("embedding images"):
            return self.embed_tensor(torch.from_numpy(pixels).to(self.device)).cpu().numpy()

    def embed_tensor(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """(b, h, w, 3) uint8 on the device → (b, d) float32 unit vectors there. Channels stay last in memory, as
        convolutions like it. Call it in inference mode and under :meth:`autocast`."""
        import torch

        mean = torch.tensor(self.mean, device=pixels.device) * 255
        std = torch.tensor(self.std, device=pixels.device) * 255
        return unit(self.model.encode_image(((pixels.float() - mean) / std).permute(0, 3, 1, 2)))

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Half precision on a GPU; nothing elsewhere."""
        import torch

        if self.device == "cpu":
            return contextlib.nullcontext()
        return torch.autocast(self.device.split(":")[0], dtype=torch.float16)


def unit(features: "torch.Tensor") -> "torch.Tensor":
    """(n, d) → (n, d) float32 of length one."""
    from torch.nn import functional as F

    return F.normalize(features.float(), dim=-1)


@contextlib.contextmanager
def wrap_encoder_errors(act: str) -> Iterator[None]:
    """Failures of a network as EncoderError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise EncoderError(
            f"The encoder failed while {act}: {error}", "run_failed", reason=str(error)[:500]
        ) from error
