"""Weighted k-means, small: greedy k-means++ and Lloyd's passes, in float32 about the mean.

Written out here because acquisition runs dozens of small k-means for each batch, where scikit-learn spends most of
its time converting blocks to float64, checking arguments and limiting threads; and so that the order of sums, and
with it who is asked, is ours to fix.

Sources: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding" (SODA 2007), with the greedy trials
of its section 7; Lloyd, "Least squares quantization in PCM" (1982).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F4 = NDArray[np.float32]

# More rows than this (or than _EACH a centre, where that is more) are not seeded whole: a uniform sample finds the
# centres, and a few passes over all rows settle them.
_WHOLE = 2_500
_EACH = 8
_PASSES = 30
_SETTLE = 3
_TOLERANCE = 1e-4  # of the mean variance: a smaller move of all centres together ends the passes
_BLOCK = 4096


def kmeans(V: NDArray[Any], w: NDArray[Any], k: int, seed: int) -> tuple[F4, NDArray[np.int64]]:
    """Centres (k, d) and the nearest one (n,) of each row of V (n, d), weighted by w (n,) ≥ 0, not all zero.

    With fewer distinct rows than k some clusters are empty. Same input and seed, same answer, on one BLAS thread.
    """
    rng = np.random.default_rng(seed)
    middle = V.mean(axis=0, dtype=np.float64).astype(np.float32)
    # Images of an encoder lie in a narrow cone; about their mean, float32 has digits left for the differences.
    V = V.astype(np.float32) - middle
    w = (np.asarray(w, np.float64) / np.mean(w)).astype(np.float32)
    few = max(_WHOLE, _EACH * k)
    if len(V) <= few:
        centres, label = _lloyd(V, w, _seeds(V, w, k, rng), _PASSES)
    else:
        part = np.sort(rng.choice(len(V), few, replace=False))
        if not (w[part] > 0).any():
            part[0] = w.argmax()
        first, _ = _lloyd(V[part], w[part], _seeds(V[part], w[part], k, rng), _PASSES)
        centres, label = _lloyd(V, w, first, _SETTLE)
    return centres + middle, label


def _seeds(V: F4, w: F4, k: int, rng: np.random.Generator) -> F4:
    """k rows of V (n, d): each the best of a few drawn in proportion to weight × squared distance to those before."""
    n = len(V)
    square = np.einsum("ij,ij->i", V, V)
    chosen = np.empty(k, np.int64)
    chosen[0] = _drawn(w, rng.random(1))[0]
    gap = np.maximum(square - 2.0 * (V @ V[chosen[0]]) + square[chosen[0]], 0.0)
    trials = 2 + int(np.log(k))
    for i in range(1, k):
        pull = w * gap
        if not pull.max() > 0:  # every row lies on a centre already
            chosen[i:] = rng.integers(0, n, k - i)
            break
        tried = _drawn(pull, rng.random(trials))
        apart = V[tried] @ V.T  # (trials, n)
        apart *= -2.0
        apart += square
        apart += square[tried, None]
        np.minimum(np.maximum(apart, 0.0, out=apart), gap, out=apart)
        best = int((apart @ w).argmin())
        chosen[i], gap = tried[best], apart[best]
    return V[chosen]


def _drawn(pull: F4, luck: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices drawn in proportion to pull (n,), by uniform numbers in [0, 1)."""
    height = np.cumsum(pull, dtype=np.float64)
    return np.minimum(np.searchsorted(height, luck * height[-1], side="right"), len(pull) - 1)


def _lloyd(V: F4, w: F4, centres: F4, passes: int) -> tuple[F4, NDArray[np.int64]]:
    """Centres and labels after at most so many passes; the labels are those of the centres returned."""
    enough = _TOLERANCE * float(V.var(axis=0).mean())
    label, gap = _nearest(V, centres)
    for _ in range(passes):
        moved = _means(V, w, label, gap, centres)
        shift = float(((moved - centres) ** 2).sum())
        before, centres = label, moved
        label, gap = _nearest(V, centres)
        if shift <= enough or np.array_equal(before, label):
            break
    return centres, label


def _nearest(V: F4, centres: F4) -> tuple[NDArray[np.int64], F4]:
    """The nearest centre of each row, and the squared distance to it less the row's own square."""
    label, gap = np.empty(len(V), np.int64), np.empty(len(V), np.float32)
    square = np.einsum("ij,ij->i", centres, centres)
    turned = np.ascontiguousarray(-2.0 * centres.T)
    for start in range(0, len(V), _BLOCK):
        part = slice(start, start + _BLOCK)
        apart = V[part] @ turned
        apart += square
        label[part] = apart.argmin(axis=1)
        gap[part] = apart[np.arange(len(apart)), label[part]]
    return label, gap


def sums(V: F4, w: NDArray[Any], label: NDArray[np.int64], k: int) -> F4:
    """Weighted sum (k, d) of the rows of V (n, d) of each label."""
    from scipy.sparse import csr_array

    order = np.argsort(label, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=k))])
    pull = csr_array((w[order].astype(np.float32), order, starts), shape=(k, len(V)))
    return np.asarray(pull @ V, np.float32)


def _means(V: F4, w: F4, label: NDArray[np.int64], gap: F4, centres: F4) -> F4:
    """Each cluster's weighted mean (k, d); an empty cluster moves to one of the rows that cost most."""
    k = len(centres)
    mass = np.bincount(label, weights=w, minlength=k).astype(np.float32)
    empty = np.flatnonzero(mass == 0)
    means = sums(V, w, label, k)
    means /= np.maximum(mass, np.finfo(np.float32).tiny)[:, None]
    if len(empty):
        means[empty] = centres[empty]
        cost = w * (gap + np.einsum("ij,ij->i", V, V))
        worst = np.argsort(-cost, kind="stable")[: len(empty)]
        worst = worst[cost[worst] > 1e-6 * max(float(cost.mean()), 1e-30)]
        means[empty[: len(worst)]] = V[worst]
    return means
