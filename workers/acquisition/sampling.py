"""A sample that stands for a pool too large to compare with itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Distances are computed among no more candidates than this: 20,000 × 512 in float32 are 40 MB, and one pass over
# them takes milliseconds.
CANDIDATES = 20_000
# … and against no more of the images already asked.
COVERED = 10_000


def stand_in(rows: NDArray[np.int64], at_most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """All of these rows, or a uniform sample of `at_most` of them without replacement, in their own order."""
    if len(rows) <= at_most:
        return rows
    return rows[np.sort(rng.choice(len(rows), at_most, replace=False))]
