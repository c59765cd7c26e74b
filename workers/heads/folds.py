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
    assigned = np.empty(len(y), np.int64)
    assigned[_dealt(y, seed)] = np.arange(len(y)) % folds
    return assigned


def stratified_sample(
    y: NDArray[np.int64], size: int, seed: int, *, groups: NDArray[np.int64], least: int = 10
) -> NDArray[np.int64]:
    """About `size` of n rows, ascending: each class's part of them, but `least` of each class that has as many.

    A class's rows are taken in the order in which `stratified_folds` of the same seed deals them out, so that in the
    sample, too, its counts across the folds differ by at most one. Rows of one group are all taken or none.
    """
    if size >= len(y):
        return np.arange(len(y))
    first, of = np.unique(groups, return_inverse=True)
    label = y[first]
    order = _dealt(label, seed)
    dealt = label[order]
    starts = np.flatnonzero(np.r_[True, dealt[1:] != dealt[:-1]])
    count = np.diff(np.r_[starts, len(dealt)])
    wanted = np.maximum(np.round(count * (size / len(y))), np.minimum(count, least))
    place = np.arange(len(dealt)) - np.repeat(starts, count)  # within the class
    taken = np.zeros(len(first), bool)
    taken[order] = place < np.repeat(wanted, count)
    return np.flatnonzero(taken[of])


def held_out(fold: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """(n,) masks of each fold's own rows, lowest fold first."""
    return [fold == held for held in np.unique(fold)]


def _dealt(y: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows in the order in which they are dealt: class after class, shuffled within each."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(y))
    # Classes in the order in which the shuffle meets them, not by index: renaming labels changes no fold.
    _, first, of = np.unique(y[shuffled], return_index=True, return_inverse=True)
    return shuffled[np.argsort(first[of], kind="stable")]
