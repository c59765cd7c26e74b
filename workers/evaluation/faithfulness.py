"""Faithfulness of heat maps: deletion and insertion (Petsiuk, Das and Saenko, RISE, arXiv 1806.07421).

The cells of a map are taken in descending order. Deletion blurs them in the image, insertion restores them in
the blurred image. After a good map's first cells the score has fallen (risen) most of the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Score = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]  # (b, h, w, 3) uint8 → (b,)


@dataclass(frozen=True)
class Faithfulness:
    """Areas under the two curves, as shares of the way from the blurred image's score to the image's.

    A map without information has about the same area for both. Lower is better for `deletion`, higher for
    `insertion`.
    """

    deletion: float
    insertion: float


def faithfulness(
    values: NDArray[np.floating[Any]],
    image: NDArray[np.uint8],
    base: NDArray[np.uint8],
    score: Score,
    *,
    steps: int = 16,
) -> Faithfulness:
    """Return the areas under the curves of deletion and insertion of a map.

    Args:
        values: (rows, columns) a map over the image; each pixel has the value between the cells around it.
        image: (h, w, 3) uint8.
        base: (h, w, 3) uint8, the image without its details.
        score: the score of a batch of images.
        steps: number of equal parts of the pixels.

    Raises:
        ValueError: image and base have other shapes, or their scores are equal.
    """
    if image.shape != base.shape:
        raise ValueError(f"image and base must have one shape, got {image.shape} and {base.shape}")
    h, w = image.shape[:2]
    order = np.argsort(-enlarged(values, h, w).ravel(), kind="stable")
    parts = np.array_split(order, steps)
    deleted, inserted = [image], [base]
    for part in parts:
        rows, columns = np.divmod(part, w)
        for images, source in ((deleted, base), (inserted, image)):
            following = images[-1].copy()
            following[rows, columns] = source[rows, columns]
            images.append(following)
    falling, rising = score(np.stack(deleted)), score(np.stack(inserted))
    whole = float(falling[0] - falling[-1])
    if abs(whole) < 1e-9:
        raise ValueError("image and base have the same score")
    low = float(falling[-1])
    return Faithfulness(
        float(np.trapezoid((falling - low) / whole, dx=1 / steps)),
        float(np.trapezoid((rising - low) / whole, dx=1 / steps)),
    )


def enlarged(values: NDArray[np.floating[Any]], h: int, w: int) -> NDArray[np.float64]:
    """Return a map (rows, columns) enlarged to (h, w), linear between the middles of the cells."""
    array = np.asarray(values, np.float64)
    for axis, length in ((0, h), (1, w)):
        n = array.shape[axis]
        place = np.clip((np.arange(length) + 0.5) * n / length - 0.5, 0, n - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, n - 1)
        share = (place - low).reshape((-1, 1) if axis == 0 else (1, -1))
        array = np.take(array, low, axis) * (1 - share) + np.take(array, high, axis) * share
    return array
