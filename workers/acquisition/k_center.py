"""Cover the pool: ask about the image that is farthest from everything asked so far.

Source: Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach"
(arXiv 1708.00489), algorithm 1, the greedy 2-approximation of the k-centre problem.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.acquisition.stand_in import CANDIDATES, COVERED, stand_in


def k_center(
    X: NDArray[Any],
    candidates: NDArray[np.int64],
    k: int,
    *,
    covered: NDArray[np.int64] | None = None,
    seed: int,
) -> NDArray[np.int64]:
    """min(k, m) of the candidates, each the farthest from all before it.

    A pool of a million is not searched whole: beyond 20,000 candidates (or 4 × k, where that is more) a uniform
    sample of them, drawn by the seed, stands for all, and beyond 10,000 covered images a sample of these. The
    greatest distance left over is then that of the sample; an outlier outside it is not asked about. The cost
    is O(k · 20,000 · d), whatever the pool.

    Args:
        X: (n, d) vectors, possibly a memory map. Distances are Euclidean, between unit vectors a function of
            the cosine alone.
        candidates: (m,) distinct rows of X that may be asked.
        covered: rows of X already asked. Without any, the candidate nearest to the mean comes first.
        seed: of the samples; a pool small enough to be searched whole gives the same answer for any seed.

    Returns:
        Distinct rows of X, in the order of choice. Copies of an image come only when nothing else is left.
    """
    k = min(int(k), len(candidates))
    if k <= 0:
        return np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    rows = stand_in(np.asarray(candidates, np.int64), max(CANDIDATES, 4 * k), rng)
    V = np.array(X[rows], np.float32)
    mean = V.mean(axis=0)
    # Encoders' images lie in a narrow cone; about their mean, float32 has digits left for the differences.
    V -= mean
    square = np.einsum("ij,ij->i", V, V)
    known = np.empty(0, np.int64) if covered is None else stand_in(np.asarray(covered), COVERED, rng)
    gap = np.full(len(V), np.inf, np.float32)  # squared distance to the nearest chosen or covered
    for start in range(0, len(known), 1024):
        C = np.array(X[known[start : start + 1024]], np.float32) - mean
        apart = square[:, None] - 2.0 * (V @ C.T) + np.einsum("ij,ij->i", C, C)
        np.minimum(gap, apart.min(axis=1), out=gap)
    np.maximum(gap, 0.0, out=gap)

    chosen = np.empty(k, np.int64)
    for i in range(k):
        at = int(gap.argmax()) if i or len(known) else int(square.argmin())
        chosen[i] = at
        np.minimum(gap, np.maximum(square - 2.0 * (V @ V[at]) + square[at], 0.0), out=gap)
        gap[at] = -1.0  # below every distance, a copy's zero included: chosen once
    return rows[chosen]
