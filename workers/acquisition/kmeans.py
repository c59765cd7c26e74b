"""Weighted k-means: greedy k-means++ and Lloyd's algorithm, in float32 about the mean.

scikit-learn's k-means is not used, because it would choose other images: docs/decisions/0013 has the figures.

Sources: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding" (SODA 2007), with the greedy
trials of its section 7; Lloyd, "Least squares quantization in PCM" (1982).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F4 = NDArray[np.float32]

# With more rows than this (or than _SAMPLE_PER_CENTRE a centre), the centres are fitted on a uniform sample,
# and a few passes over all rows follow.
_SAMPLE = 2_500
_SAMPLE_PER_CENTRE = 8
_MAX_PASSES = 30
_FINAL_PASSES = 3
_TOLERANCE = 1e-4  # of the mean variance: passes end if all centres together move less
_BLOCK = 4096


def kmeans(V: NDArray[Any], w: NDArray[Any], k: int, seed: int) -> tuple[F4, NDArray[np.int64]]:
    """Return centres (k, d) and the nearest centre (n,) of each row of V (n, d).

    Weights w (n,) ≥ 0 are not all zero. With fewer distinct rows than k some clusters are empty. The result
    is repeatable on one BLAS thread.
    """
    rng = np.random.default_rng(seed)
    mean = V.mean(axis=0, dtype=np.float64).astype(np.float32)
    # Images of an encoder can share a large common component; about the mean, float32 is precise enough.
    V = V.astype(np.float32) - mean
    w = (np.asarray(w, np.float64) / np.mean(w)).astype(np.float32)
    size = max(_SAMPLE, _SAMPLE_PER_CENTRE * k)
    if len(V) <= size:
        centres, label = _lloyd(V, w, _initial_centres(V, w, k, rng), _MAX_PASSES)
    else:
        sample = np.sort(rng.choice(len(V), size, replace=False))
        if not (w[sample] > 0).any():
            sample[0] = w.argmax()
        initial = _initial_centres(V[sample], w[sample], k, rng)
        first, _ = _lloyd(V[sample], w[sample], initial, _MAX_PASSES)
        centres, label = _lloyd(V, w, first, _FINAL_PASSES)
    return centres + mean, label


def _initial_centres(V: F4, w: F4, k: int, rng: np.random.Generator) -> F4:
    """Return k rows of V (n, d), each the best of a few drawn by weight × squared distance (k-means++)."""
    n = len(V)
    square = np.einsum("ij,ij->i", V, V)
    chosen = np.empty(k, np.int64)
    chosen[0] = _draw(w, rng.random(1))[0]
    nearest = np.maximum(square - 2.0 * (V @ V[chosen[0]]) + square[chosen[0]], 0.0)  # squared distance
    trials = 2 + int(np.log(k))
    for i in range(1, k):
        potential = w * nearest
        if not potential.max() > 0:  # every row equals a centre
            chosen[i:] = rng.integers(0, n, k - i)
            break
        candidates = _draw(potential, rng.random(trials))
        distance = V[candidates] @ V.T  # (trials, n)
        distance *= -2.0
        distance += square
        distance += square[candidates, None]
        np.minimum(np.maximum(distance, 0.0, out=distance), nearest, out=distance)
        best = int((distance @ w).argmin())
        chosen[i], nearest = candidates[best], distance[best]
    return V[chosen]


def _draw(potential: F4, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return indices drawn in proportion to potential (n,), from uniform numbers in [0, 1)."""
    cumulative = np.cumsum(potential, dtype=np.float64)
    index = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    return np.minimum(index, len(potential) - 1)


def _lloyd(V: F4, w: F4, centres: F4, passes: int) -> tuple[F4, NDArray[np.int64]]:
    """Return centres and labels after at most `passes`; the labels are those of the returned centres."""
    min_shift = _TOLERANCE * float(V.var(axis=0).mean())
    label, distance = _nearest_centre(V, centres)
    for _ in range(passes):
        moved = _means(V, w, label, distance, centres)
        shift = float(((moved - centres) ** 2).sum())
        before, centres = label, moved
        label, distance = _nearest_centre(V, centres)
        if shift <= min_shift or np.array_equal(before, label):
            break
    return centres, label


def _nearest_centre(V: F4, centres: F4) -> tuple[NDArray[np.int64], F4]:
    """Return the nearest centre of each row, and the squared distance minus the row's squared norm."""
    label, nearest = np.empty(len(V), np.int64), np.empty(len(V), np.float32)
    square = np.einsum("ij,ij->i", centres, centres)
    factor = np.ascontiguousarray(-2.0 * centres.T)
    for start in range(0, len(V), _BLOCK):
        block = slice(start, start + _BLOCK)
        distance = V[block] @ factor
        distance += square
        label[block] = distance.argmin(axis=1)
        nearest[block] = distance[np.arange(len(distance)), label[block]]
    return label, nearest


def cluster_sums(V: F4, w: NDArray[Any], label: NDArray[np.int64], k: int) -> F4:
    """Return the weighted sums (k, d) of the rows of V (n, d) with each label."""
    from scipy.sparse import csr_array

    order = np.argsort(label, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(label, minlength=k))])
    weights = csr_array((w[order].astype(np.float32), order, starts), shape=(k, len(V)))
    return np.asarray(weights @ V, np.float32)


def _means(V: F4, w: F4, label: NDArray[np.int64], distance: F4, centres: F4) -> F4:
    """Return the weighted mean (k, d) of each cluster; empty clusters move to the rows of largest cost."""
    k = len(centres)
    mass = np.bincount(label, weights=w, minlength=k).astype(np.float32)
    empty = np.flatnonzero(mass == 0)
    means = cluster_sums(V, w, label, k)
    means /= np.maximum(mass, np.finfo(np.float32).tiny)[:, None]
    if len(empty):
        means[empty] = centres[empty]
        cost = w * (distance + np.einsum("ij,ij->i", V, V))
        worst = np.argsort(-cost, kind="stable")[: len(empty)]
        worst = worst[cost[worst] > 1e-6 * max(float(cost.mean()), 1e-30)]
        means[empty[: len(worst)]] = V[worst]
    return means
