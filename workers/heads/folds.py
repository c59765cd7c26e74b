"""Seeded stratified folds that never complain about a rare class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified_folds(y: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold in [0, folds) of each row: classes are dealt out like cards, one after another.

    Fold sizes differ by at most one, and so do the counts of any one class across the folds: a class with
    fewer examples than folds is simply absent from some of them.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(y))
    # Classes in the order in which the shuffle meets them, not by index: renaming labels changes no fold.
    classes, first = np.unique(y[shuffled], return_index=True)
    rank = first[np.searchsorted(classes, y[shuffled])]
    order = shuffled[np.argsort(rank, kind="stable")]
    assigned = np.empty(len(y), np.int64)
    assigned[order] = np.arange(len(y)) % folds
    return assigned
