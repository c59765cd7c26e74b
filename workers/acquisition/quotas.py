"""Quotas of questions by predicted class."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def class_quotas(
    available: ArrayLike, total: int, labelled_counts: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Return the numbers of questions of each class, out of `total`.

    Water-filling: each question goes to the class with the fewest labels and questions so far, among those
    with images left; the lowest index of equal ones. So rare classes come first.

    Args:
        available: (L,) images that can be asked, by predicted class.
        total: number of questions, ≥ 0.
        labelled_counts: (L,) labels given so far; zeros when omitted.

    Returns:
        (L,) with 0 ≤ quota ≤ available, summing to min(total, Σ available).
    """
    capacity = np.asarray(available, np.int64)
    counts = np.zeros(len(capacity)) if labelled_counts is None else np.asarray(labelled_counts, np.float64)
    if counts.shape != capacity.shape or (capacity < 0).any() or total < 0:
        raise ValueError("available and labelled_counts must be two (L,) arrays, nothing negative")
    total = int(min(total, capacity.sum()))
    if total == 0:
        return np.zeros(len(capacity), np.int64)
    # Find the water level by bisection, then add the rest one by one to the lowest.
    low, high = float(counts.min()), float(counts.max()) + total + 1
    for _ in range(100):
        level = (low + high) / 2
        if np.clip(np.floor(level - counts), 0, capacity).sum() > total:
            high = level
        else:
            low = level
    quota = np.clip(np.floor(low - counts), 0, capacity).astype(np.int64)
    while (rest := total - int(quota.sum())) > 0:
        height = np.where(quota < capacity, counts + quota, np.inf)
        order = np.argsort(height, kind="stable")
        lowest = order[: min(rest, int(np.isfinite(height).sum()))]
        lowest = lowest[height[lowest] <= height[lowest[0]] + 1]
        quota[lowest] += 1
    return quota
