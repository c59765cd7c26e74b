"""Seeded stratified folds: a rare class is allowed, and copies and near-duplicates share a fold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def group_copies(X: NDArray[Any]) -> NDArray[np.int64]:
    """Return (n,) the index of the first row of X (n, d) that is equal to each row bit for bit."""
    n = len(X)
    if n == 0 or X.shape[1] == 0:
        return np.arange(n)
    rows = np.ascontiguousarray(X)
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return first[group].astype(np.int64)


def merge_groups(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) the finest groups that keep rows together that share a group in `one` or in `other` (n,).

    Each group is numbered by its first row.
    """
    n = len(one)
    if not n:
        return np.empty(0, np.int64)
    links = [np.unique(groups, return_index=True, return_inverse=True)[1:] for groups in (one, other)]
    first = np.concatenate([at[inverse.ravel()] for at, inverse in links])
    graph = coo_array((np.ones(2 * n, np.int8), (np.tile(np.arange(n), 2), first)), shape=(n, n))
    component = connected_components(graph, directed=False)[1]
    return np.unique(component, return_index=True)[1][component].astype(np.int64)


def stratified_folds(
    y: NDArray[np.int64], folds: int, seed: int, *, groups: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the fold in [0, folds) of each row.

    Fold sizes differ by at most one, and so do the counts of each class over the folds: a class with fewer
    examples than folds is missing in some. Rows of one group (n,) share a fold; sizes are
    then as equal as the groups allow.
    """
    if groups is not None:
        first, of = np.unique(groups, return_inverse=True)
        return stratified_folds(y[first], folds, seed)[of]
    assigned = np.empty(len(y), np.int64)
    assigned[_class_order(y, seed)] = np.arange(len(y)) % folds
    return assigned


def stratified_sample(
    y: NDArray[np.int64], size: int, seed: int, *, groups: NDArray[np.int64], min_per_class: int = 10
) -> NDArray[np.int64]:
    """Return about `size` of n rows, ascending, in proportion to the classes.

    A class keeps at least `min_per_class` rows, or all it has.

    Rows of a class are taken in the order of `stratified_folds` with the same seed, so its counts over the
    folds differ by at most one in the sample, too. Rows of one group are all taken or none.
    """
    if size >= len(y):
        return np.arange(len(y))
    first, of = np.unique(groups, return_inverse=True)
    label = y[first]
    order = _class_order(label, seed)
    ordered = label[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    count = np.diff(np.r_[starts, len(ordered)])
    wanted = np.maximum(np.round(count * (size / len(y))), np.minimum(count, min_per_class))
    rank = np.arange(len(ordered)) - np.repeat(starts, count)  # within the class
    taken = np.zeros(len(first), bool)
    taken[order] = rank < np.repeat(wanted, count)
    return np.flatnonzero(taken[of])


def fold_masks(fold: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """Return (n,) masks of the rows of each fold, lowest fold first."""
    return [fold == held for held in np.unique(fold)]


def _class_order(y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return the rows (n,) class by class, shuffled within each class."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(y))
    # Classes in the order of the shuffle, not of the index: renaming labels changes no fold.
    _, first, of = np.unique(y[shuffled], return_index=True, return_inverse=True)
    return shuffled[np.argsort(first[of], kind="stable")]
