"""Seeded stratified folds that never complain about a rare class and never part an image from its copies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def copies(X: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) the first row that equals each row of X (n, d), bit for bit: itself where there is no copy before it."""
    n = len(X)
    if n == 0 or X.shape[1] == 0:
        return np.arange(n)
    rows = np.ascontiguousarray(X)
    names = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    return first[group].astype(np.int64)


def stratified_folds(
    y: NDArray[np.int64], folds: int, seed: int, *, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The fold in [0, folds) of each row: classes are dealt out like cards, one after another.

    Fold sizes differ by at most one, and so do the counts of any one class across the folds: a class with
    fewer examples than folds is simply absent from some of them. Rows of one group (n,), named as `copies` names
    them, share the fold of their first row, so that with groups the sizes are as even as the groups allow.
    """
    if groups is not None:
        first, of = np.unique(groups, return_inverse=True)
        return stratified_folds(y[first], folds, seed)[of]
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(y))
    # Classes in the order in which the shuffle meets them, not by index: renaming labels changes no fold.
    classes, first = np.unique(y[shuffled], return_index=True)
    rank = first[np.searchsorted(classes, y[shuffled])]
    order = shuffled[np.argsort(rank, kind="stable")]
    assigned = np.empty(len(y), np.int64)
    assigned[order] = np.arange(len(y)) % folds
    return assigned
