"""Representative images: the nearest to each k-means centre."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.acquisition.kmeans import cluster_sums, kmeans
from workers.acquisition.quotas import class_quotas

# k-means uses at most this many rows, a seeded sample of larger pools.
_MAX_ROWS = 20_000
# More medoids are chosen in groups: the time of k-means++ grows with rows × centres, to most of a minute for
# 1,500 centres among 20,000 rows.
_NESTED_ABOVE = 200
# Large problems use this many principal axes, from this many rows.
_AXES = 128
_AXES_ROWS = 4_000
_LARGE_ROWS, _LARGE_K = 2_500, 8


def medoids(
    X: NDArray[Any],
    k: int,
    *,
    seed: int,
    weight: ArrayLike | None = None,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return k distinct images, each the nearest to a centre of (weighted) k-means, largest cluster first.

    More than 200 medoids are chosen in about √k clusters, in proportion to the weight of each cluster,
    interleaved.

    Args:
        X: vectors, possibly a memory map, of which only the sample is copied.
        rows: (n,) distinct rows of X to choose among; all when omitted.
        weight: (n,) ≥ 0, of each row in the means; rows of weight 0 can still be chosen.

    Returns:
        (min(k, n),) indices into `rows`. With fewer distinct vectors than k, copies fill up the rest.
    """
    n = len(X) if rows is None else len(rows)
    k = min(int(k), n)
    if k <= 0:
        return np.empty(0, np.int64)
    if k == n:
        return np.arange(n)
    w = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    if not (w > 0).any():
        w = np.ones(n)
    rng = np.random.default_rng(seed)
    size = max(_MAX_ROWS, 4 * k)
    sample = np.arange(n) if n <= size else np.sort(rng.choice(n, size, replace=False))
    V = np.asarray(X[sample if rows is None else rows[sample]], np.float32)
    w = w[sample]
    if k > _NESTED_ABOVE:
        return sample[_nested_medoids(V, w, k, seed)]
    large = k >= _LARGE_K and len(V) > _LARGE_ROWS and V.shape[1] > _AXES
    return sample[_nearest_to_centres(V, w, k, seed, _principal_components(V) if large else None)]


def _nested_medoids(V: NDArray[Any], w: NDArray[Any], k: int, seed: int) -> NDArray[np.int64]:
    """Return k rows of V (n, d): medoids inside about √k clusters, in proportion to their weight."""
    N = _principal_components(V)
    groups = max(2, round(np.sqrt(k)))
    _, label = kmeans(N, w, groups, seed)
    capacity = np.bincount(label, minlength=groups)
    mass = np.bincount(label, weights=w, minlength=groups)
    share = _allocate(mass, capacity, k)
    picks = []
    for group in np.argsort(-mass, kind="stable"):
        if share[group]:
            members = np.flatnonzero(label == group)
            nearest = _nearest_to_centres(
                V[members], w[members], int(share[group]), seed + 1 + int(group), N[members]
            )
            picks.append(members[nearest])
    return interleave(picks)


def _principal_components(V: NDArray[Any]) -> NDArray[np.float32]:
    """Return V (n, d) along at most 128 principal axes (PCA); distances hardly change.

    The axes are those of an evenly spaced sample of rows.
    """
    if V.shape[1] <= _AXES:
        return np.asarray(V, np.float32)
    sample = V[:: max(1, len(V) // _AXES_ROWS)]
    sample = sample - sample.mean(axis=0)
    _, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    return np.asarray(V @ axes[:, -_AXES:].astype(np.float32))


def _allocate(mass: NDArray[Any], capacity: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Divide k ≤ Σ capacity in proportion to mass (g,) by largest remainders, within capacity (g,)."""
    share = np.zeros(len(mass), np.int64)
    while (rest := k - int(share.sum())) > 0:
        free = share < capacity
        weight = np.where(free, np.maximum(mass, 1e-12), 0.0)
        exact = rest * weight / weight.sum()
        whole = np.minimum(np.floor(exact).astype(np.int64), capacity - share)
        share += whole
        if not whole.any():
            order = np.argsort(-exact, kind="stable")[: min(rest, int(free.sum()))]
            share[order] += 1
    return share


def _nearest_to_centres(
    V: NDArray[Any], w: NDArray[Any], k: int, seed: int, N: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Return k ≤ n rows of V (n, d): the nearest to each centre of k-means, largest cluster first.

    The clusters are those of N (n, m) where given, but distances are those in V: along a few axes alone,
    images far from a centre look near.
    """
    if k == len(V):
        return np.argsort(-w, kind="stable").astype(np.int64)
    centres, label = kmeans(V if N is None else N, w, k, seed)
    mass = np.bincount(label, weights=w, minlength=k)
    if N is not None:
        centres = cluster_sums(V, w, label, k) / np.maximum(mass, 1e-30).astype(np.float32)[:, None]

    taken = np.zeros(len(V), bool)
    chosen: list[int] = []
    for cluster in np.argsort(-mass, kind="stable"):
        members = np.flatnonzero((label == cluster) & ~taken)
        if not len(members):
            continue
        distance = ((V[members] - centres[cluster]) ** 2).sum(axis=1)
        pick = int(members[distance.argmin()])
        taken[pick] = True
        chosen.append(pick)
    if len(chosen) < k:  # duplicate vectors leave clusters empty
        free = np.flatnonzero(~taken)
        order = free[np.argsort(-w[free], kind="stable")]
        chosen.extend(int(row) for row in order[: k - len(chosen)])
    return np.array(chosen, np.int64)


def cold_start(
    X: NDArray[Any],
    k: int,
    *,
    seed: int,
    pseudo_label: NDArray[Any] | None = None,
    n_labels: int = 1,
    labelled_counts: ArrayLike | None = None,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the first k images to ask: the same number of medoids from each zero-shot label.

    Args:
        X: vectors, possibly a memory map. rows: (n,) the rows of X to choose among; all when omitted.
        pseudo_label: (n,) zero-shot labels; None takes the pool as one class.
        labelled_counts: (L,) labels given so far: classes with fewer come first.

    Returns:
        (min(k, n),) indices into `rows`, classes interleaved, largest cluster of each class first.
    """
    row_of = np.arange(len(X)) if rows is None else rows
    label = np.zeros(len(row_of), np.int64) if pseudo_label is None else np.asarray(pseudo_label, np.int64)
    quota = class_quotas(np.bincount(label, minlength=n_labels), min(k, len(row_of)), labelled_counts)
    picks = []
    for c in np.flatnonzero(quota):
        images = np.flatnonzero(label == c)
        picks.append(images[medoids(X, int(quota[c]), seed=seed + int(c), rows=row_of[images])])
    return interleave(picks)


def interleave(lists: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the first of each list, then the second of each, and so on."""
    if not lists:
        return np.empty(0, np.int64)
    rank = np.concatenate([np.arange(len(items)) for items in lists])
    return np.concatenate(lists)[np.argsort(rank, kind="stable")]
