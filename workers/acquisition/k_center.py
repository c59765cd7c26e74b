"""Coverage of the pool: each question is the image farthest from all images asked before.

Source: Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach"
(arXiv 1708.00489), algorithm 1, the greedy 2-approximation of the k-centre problem.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.acquisition.sampling import MAX_CANDIDATES, MAX_COVERED, sample_rows


def k_center(
    X: NDArray[Any],
    candidates: NDArray[np.int64],
    k: int,
    *,
    covered: NDArray[np.int64] | None = None,
    seed: int,
) -> NDArray[np.int64]:
    """Return min(k, m) of the candidates, each the farthest from all before it.

    Of more than 20,000 candidates (or 4 × k, where that is more) a uniform sample is searched, and of more
    than 10,000 covered images a sample is used. An outlier outside the sample is not asked. The cost is
    O(k · 20,000 · d) for any pool.

    Args:
        X: (n, d) vectors, possibly a memory map. Distances are Euclidean, between unit vectors a function of
            the cosine alone.
        candidates: (m,) distinct rows of X that may be asked.
        covered: rows of X already asked. Without any, the candidate nearest to the mean comes first.
        seed: of the samples; without sampling the result is the same for any seed.

    Returns:
        Distinct rows of X, in the order of choice; copies of an image come last.
    """
    k = min(int(k), len(candidates))
    if k <= 0:
        return np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    rows = sample_rows(np.asarray(candidates, np.int64), max(MAX_CANDIDATES, 4 * k), rng)
    V = np.array(X[rows], np.float32)
    mean = V.mean(axis=0)
    # Images of an encoder can share a large common component; about the mean, float32 is precise enough.
    V -= mean
    square = np.einsum("ij,ij->i", V, V)
    known = np.empty(0, np.int64) if covered is None else sample_rows(np.asarray(covered), MAX_COVERED, rng)
    nearest = np.full(len(V), np.inf, np.float32)  # squared distance to the nearest chosen or covered image
    for start in range(0, len(known), 1024):
        C = np.array(X[known[start : start + 1024]], np.float32) - mean
        distance = square[:, None] - 2.0 * (V @ C.T) + np.einsum("ij,ij->i", C, C)
        np.minimum(nearest, distance.min(axis=1), out=nearest)
    np.maximum(nearest, 0.0, out=nearest)

    chosen = np.empty(k, np.int64)
    for i in range(k):
        pick = int(nearest.argmax()) if i or len(known) else int(square.argmin())
        chosen[i] = pick
        np.minimum(nearest, np.maximum(square - 2.0 * (V @ V[pick]) + square[pick], 0.0), out=nearest)
        nearest[pick] = -1.0  # below every distance, so it is chosen once
    return rows[chosen]
