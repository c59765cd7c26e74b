"""TypiClust: each question is the most typical image of the cluster with the fewest labels.

Source: Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit high and low
budgets" (arXiv 2202.02794), TypiClust, on an encoder's embeddings instead of self-supervised features.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.acquisition.kmeans import kmeans
from workers.acquisition.sampling import MAX_CANDIDATES, MAX_COVERED, sample_rows

CLUSTERS = 500
NEIGHBOURS = 20
MIN_CLUSTER = 5  # smaller clusters come last (the paper leaves them out)
_BLOCK = 2048


def typiclust(
    X: NDArray[Any],
    candidates: NDArray[np.int64],
    k: int,
    *,
    covered: NDArray[np.int64] | None = None,
    seed: int,
    clusters: int = CLUSTERS,
    neighbours: int = NEIGHBOURS,
) -> NDArray[np.int64]:
    """Return min(k, m) of the candidates, the most typical images of the clusters with the fewest labels.

    k-means divides candidates and covered images into as many clusters as there will be labels after this
    batch, at most `clusters`. Each question goes to the cluster with the fewest labels (the largest of equal
    ones) and is its most typical image left. Typicality is one over the mean distance to the nearest
    `neighbours` within the cluster.

    Of more than 20,000 candidates (or 4 × k, where that is more) and 10,000 covered images, uniform samples
    are used.

    Args:
        X: (n, d) vectors, possibly a memory map. candidates: (m,) distinct rows of X that may be asked.
        covered: rows of X already asked. seed: of samples and clusters.

    Returns:
        Distinct rows of X, in the order of choice.
    """
    k = min(int(k), len(candidates))
    if k <= 0:
        return np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    rows = sample_rows(np.asarray(candidates, np.int64), max(MAX_CANDIDATES, 4 * k), rng)
    known = np.empty(0, np.int64) if covered is None else sample_rows(np.asarray(covered), MAX_COVERED, rng)
    V = np.concatenate([np.array(X[rows], np.float32), np.array(X[known], np.float32)])
    V -= V.mean(axis=0)
    n_clusters = min((0 if covered is None else len(covered)) + k, int(clusters), len(V))
    _, label = kmeans(V, np.ones(len(V)), n_clusters, seed)
    labelled = np.bincount(label[len(rows) :], minlength=n_clusters)

    queue: list[tuple[bool, int, int, int]] = []
    ranked: dict[int, list[int]] = {}
    for cluster in range(n_clusters):
        members = np.flatnonzero(label == cluster)
        askable = members < len(rows)
        if not askable.any():
            continue
        typical = typicality(V[members], neighbours)
        order = np.argsort(-typical[askable], kind="stable")
        ranked[cluster] = members[askable][order][::-1].tolist()  # the most typical last, to be popped
        queue.append((len(members) < MIN_CLUSTER, int(labelled[cluster]), -len(members), cluster))
    heapq.heapify(queue)
    chosen: list[int] = []
    while len(chosen) < k:
        small, count, size, cluster = heapq.heappop(queue)
        chosen.append(ranked[cluster].pop())
        if ranked[cluster]:
            heapq.heappush(queue, (small, count + 1, size, cluster))
    return rows[np.array(chosen, np.int64)]


def typicality(V: NDArray[Any], neighbours: int) -> NDArray[np.float64]:
    """Return (m,) one over the mean distance of each row of V (m, d) to its nearest `neighbours`.

    The typicality of a single row is 0.0.
    """
    m = len(V)
    count = min(int(neighbours), m - 1)
    if count < 1:
        return np.zeros(m)
    square = np.einsum("ij,ij->i", V, V)
    mean = np.empty(m)
    for start in range(0, m, _BLOCK):
        block = slice(start, min(start + _BLOCK, m))
        distance = square[block, None] - 2.0 * (V[block] @ V.T) + square[None, :]
        row = np.arange(block.start, block.stop)
        distance[row - start, row] = np.inf  # not its own neighbour
        nearest = np.partition(distance, count - 1, axis=1)[:, :count]
        mean[block] = np.sqrt(np.maximum(nearest, 0.0)).mean(axis=1)
    return 1.0 / np.maximum(mean, 1e-12)
