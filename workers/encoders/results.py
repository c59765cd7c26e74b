"""The results of embedding images: of a batch, and of a section of a stream."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import PictureError


@dataclass(frozen=True)
class EncodedBatch:
    """The result of a batch.

    ``vectors`` (m, d) float32 belong to the m items that could be read, ``ok_indices`` (m,) are their
    positions in the input, and ``errors`` has the reason for each other item, by index.
    """

    vectors: np.ndarray
    ok_indices: np.ndarray
    errors: dict[int, str]


@dataclass(frozen=True)
class EncodedChunk:
    """A section of a stream, in its order.

    ``vectors`` (m, d) float32 belong to the m ``keys``; ``errors`` has the reason for each other item, by
    key. ``detail`` has the detail descriptors (k,) that were asked for, by key. One is missing if the image
    cannot be decoded at its native size.
    """

    keys: list[Any]
    vectors: np.ndarray
    errors: dict[Any, PictureError]
    detail: dict[Any, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys) + len(self.errors)
