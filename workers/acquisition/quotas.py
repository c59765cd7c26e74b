"""How many to ask of each predicted class: the same for all as far as there are enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def quotas(available: ArrayLike, total: int, already: ArrayLike | None = None) -> NDArray[np.int64]:
    """Share `total` questions out among classes.

    Water-filling: each question goes to the class that has fewest so far (labels already given count), among
    those with images left; the lower index wins a tie. So rare classes are filled up first, and what a class
    cannot use goes on to the others.

    Args:
        available: (L,) images that could be asked, per predicted class.
        total: questions to share out, ≥ 0.
        already: (L,) labels already given per class; zeros when omitted.

    Returns:
        (L,) with 0 ≤ quota ≤ available, summing to min(total, Σ available).
    """
    room = np.asarray(available, np.int64)
    have = np.zeros(len(room)) if already is None else np.asarray(already, np.float64)
    if have.shape != room.shape or (room < 0).any() or total < 0:
        raise ValueError("available and already must be two (L,) arrays, nothing negative")
    total = int(min(total, room.sum()))
    if total == 0:
        return np.zeros(len(room), np.int64)
    # Find the water level by bisection, then hand out the rest one by one from the lowest.
    low, high = float(have.min()), float(have.max()) + total + 1
    for _ in range(100):
        level = (low + high) / 2
        if np.clip(np.floor(level - have), 0, room).sum() > total:
            high = level
        else:
            low = level
    given = np.clip(np.floor(low - have), 0, room).astype(np.int64)
    while (rest := total - int(given.sum())) > 0:
        height = np.where(given < room, have + given, np.inf)
        order = np.argsort(height, kind="stable")
        lowest = order[: min(rest, int(np.isfinite(height).sum()))]
        lowest = lowest[height[lowest] <= height[lowest[0]] + 1]
        given[lowest] += 1
    return given
