"""One loaded encoder: images and texts in, unit vectors out."""

import contextlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .decode import ImageSource, open_picture, open_sized
from .detail import detail_vector
from .errors import PictureError, wrap_encoder_errors
from .pipeline import stream_chunks
from .probing import probe_vectors
from .results import EncodedBatch, EncodedChunk

if TYPE_CHECKING:
    import torch

    from .onnx_tower import OnnxTower

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Encoder:
    """An open_clip model ready to use.

    Vectors of another ``digest`` (see identity.py) or ``precision`` are not comparable with the vectors of
    this encoder. ``precision`` is `fp32`, `amp` on a GPU, or the precision of a variant: `onnx`, `int8`.
    """

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
    tower: "OnnxTower | None" = field(repr=False, default=None)  # replaces the model's image tower

    def encode_stream(
        self,
        items: Iterable[tuple[Hashable, ImageSource | Callable[[], ImageSource]]],
        *,
        batch: int | None = None,
        workers: int | None = None,
        needs_detail: Callable[[Hashable], bool] | None = None,
    ) -> Iterator[EncodedChunk]:
        """Embed a stream of (key, image) and yield chunks of at most ``batch`` in the order of the stream.

        An image is a path, the bytes of a file, a PIL image, or a function that fetches one of these (called
        in a thread).

        A bounded number of images is fetched and decoded ahead, across chunks. Memory therefore does not grow
        with the stream, and the network does not wait between chunks. ``items`` is read in the caller's
        thread. An image that cannot be read is reported in its chunk, and the stream continues. Any other
        error of a fetching function is raised here. Close the iterator to stop early.

        ``needs_detail(key)`` says for which images the detail descriptor is computed too, from the same
        decoded image. It is called in the decoding threads.

        Raises EncoderError if the network itself fails (for example, out of memory).
        """
        return stream_chunks(self, items, batch=batch, workers=workers, needs_detail=needs_detail)

    def encode_images(
        self, items: Sequence[ImageSource], *, batch: int | None = None, progress: Progress | None = None
    ) -> EncodedBatch:
        """Embed images given as paths, bytes or PIL images.

        An image that cannot be read is reported in ``errors``, and the others are embedded. ``progress(done,
        total)`` is called after every batch.

        Raises EncoderError if the network itself fails (for example, out of memory).
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
        """Return the unit vectors (n, d) float32 of texts.

        A text longer than the context is truncated: check :meth:`too_long` first.
        """
        import torch

        rows = []
        for start in range(0, len(texts), 128):
            with torch.inference_mode(), self.autocast(), wrap_encoder_errors("embedding text"):
                ids = torch.as_tensor(self.tokenize(list(texts[start : start + 128]))).to(self.device)
                rows.append(normalize_rows(self.embed_ids(self.model, ids)).cpu().numpy())
        return np.concatenate(rows) if rows else np.empty((0, self.dim), np.float32)

    @cached_property
    def probe(self) -> np.ndarray:
        """Return the vectors (n, d) float32 of known images and sentences on this machine.

        They are computed once per loaded encoder.
        """
        return probe_vectors(self)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text before truncation, with start and end tokens."""
        return [self.count(text) for text in texts]

    def too_long(self, texts: Sequence[str]) -> list[int]:
        """Return the indices of the texts that exceed the context length and would be truncated."""
        return [
            number for number, count in enumerate(self.count_tokens(texts)) if count > self.context_length
        ]

    def prepared(self, item: ImageSource) -> np.ndarray:
        """Return the image as (h, w, 3) uint8 of the size the network takes.

        Raises PictureError.
        """
        with open_picture(item, side=self.image_side) as image:
            return np.array(self.geometry(image), np.uint8)

    def prepared_with_detail(self, item: ImageSource) -> tuple[np.ndarray, np.ndarray | None]:
        """Return (the image as `prepared` returns it, its detail descriptor).

        A JPEG that is decoded at a fraction of its size for the network is decoded once more for the detail.
        Where that fails, for example for lack of memory, the detail is None. Raises PictureError.
        """
        with open_sized(item, side=self.image_side) as (image, whole):
            pixels = np.array(self.geometry(image), np.uint8)
            if whole:
                return pixels, detail_vector(image)
        try:
            with open_picture(item, side=None) as image:
                return pixels, detail_vector(image)
        except PictureError:
            return pixels, None

    def embed_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Map (b, h, w, 3) uint8 to (b, d) float32 unit vectors, with the tower of this encoder."""
        import torch

        if self.tower is not None:
            return self.tower(pixels)
        with torch.inference_mode(), self.autocast(), wrap_encoder_errors("embedding images"):
            return self.embed_tensor(torch.from_numpy(pixels).to(self.device)).cpu().numpy()

    def embed_tensor(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """Map (b, h, w, 3) uint8 on the device to (b, d) float32 unit vectors on the device.

        Channels stay last in memory, which is faster for convolutions. Call it in inference mode and under
        :meth:`autocast`.
        """
        import torch

        mean = torch.tensor(self.mean, device=pixels.device) * 255
        std = torch.tensor(self.std, device=pixels.device) * 255
        return normalize_rows(self.model.encode_image(((pixels.float() - mean) / std).permute(0, 3, 1, 2)))

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context of half precision on a GPU, and an empty context on the CPU."""
        import torch

        if self.device == "cpu":
            return contextlib.nullcontext()
        return torch.autocast(self.device.split(":")[0], dtype=torch.float16)


def normalize_rows(features: "torch.Tensor") -> "torch.Tensor":
    """Return the rows (n, d), normalised to length one, as float32."""
    from torch.nn import functional as F

    return F.normalize(features.float(), dim=-1)
