"""A uniform sample of a pool that is too large for distances between all images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# 20,000 × 512 in float32 are 40 MB, and one pass over them takes milliseconds.
MAX_CANDIDATES = 20_000
MAX_COVERED = 10_000  # images already asked


def sample_rows(rows: NDArray[np.int64], at_most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return all rows, or a uniform sample of `at_most` of them without replacement, in their order."""
    if len(rows) <= at_most:
        return rows
    return rows[np.sort(rng.choice(len(rows), at_most, replace=False))]
