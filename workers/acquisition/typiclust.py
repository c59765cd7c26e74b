"""Ask about the typical: the densest image of each cluster that holds the fewest answers.

Source: Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit high and low budgets"
(arXiv 2202.02794), TypiClust, on an encoder's embeddings instead of self-supervised features.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.acquisition.kmeans import kmeans
from workers.acquisition.stand_in import CANDIDATES, COVERED, stand_in

CLUSTERS = 500
NEIGHBOURS = 20
SMALL = 5  # clusters below this size come last: their density says little (the paper leaves them out)
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
    """min(k, m) of the candidates, the most typical of the clusters that were asked about least.

    Candidates and covered images together are clustered by k-means into as many clusters as there will be
    answers after this batch, at most `clusters`. Each question goes to the cluster with the fewest answers (the
    larger one on a tie) and asks for its most typical image that is left: typicality is one over the mean
    distance to the nearest `neighbours` within the cluster.

    A pool of a million is not clustered whole: beyond 20,000 candidates (or 4 × k, where that is more) a uniform
    sample of them, drawn by the seed, stands for all, and beyond 10,000 covered images a sample of these.

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
    rows = stand_in(np.asarray(candidates, np.int64), max(CANDIDATES, 4 * k), rng)
    known = np.empty(0, np.int64) if covered is None else stand_in(np.asarray(covered), COVERED, rng)
    V = np.concatenate([np.array(X[rows], np.float32), np.array(X[known], np.float32)])
    V -= V.mean(axis=0)
    wanted = min((0 if covered is None else len(covered)) + k, int(clusters), len(V))
    _, label = kmeans(V, np.ones(len(V)), wanted, seed)
    answers = np.bincount(label[len(rows) :], minlength=wanted)

    queue: list[tuple[bool, int, int, int]] = []
    ranked: dict[int, list[int]] = {}
    for cluster in range(wanted):
        members = np.flatnonzero(label == cluster)
        mine = members < len(rows)
        if not mine.any():
            continue
        dense = typicality(V[members], neighbours)
        order = np.argsort(-dense[mine], kind="stable")
        ranked[cluster] = members[mine][order][::-1].tolist()  # the most typical last, to be popped
        queue.append((len(members) < SMALL, int(answers[cluster]), -len(members), cluster))
    heapq.heapify(queue)
    chosen: list[int] = []
    while len(chosen) < k:
        small, count, size, cluster = heapq.heappop(queue)
        chosen.append(ranked[cluster].pop())
        if ranked[cluster]:
            heapq.heappush(queue, (small, count + 1, size, cluster))
    return rows[np.array(chosen, np.int64)]


def typicality(V: NDArray[Any], neighbours: int) -> NDArray[np.float64]:
    """One over the mean distance of each row of V (m, d) to its nearest others, at most `neighbours`; (m,).

    A row alone has nothing to be compared with: 0.0.
    """
    m = len(V)
    near = min(int(neighbours), m - 1)
    if near < 1:
        return np.zeros(m)
    square = np.einsum("ij,ij->i", V, V)
    mean = np.empty(m)
    for start in range(0, m, _BLOCK):
        part = slice(start, min(start + _BLOCK, m))
        gap = square[part, None] - 2.0 * (V[part] @ V.T) + square[None, :]
        at = np.arange(part.start, part.stop)
        gap[at - start, at] = np.inf  # not its own neighbour
        nearest = np.partition(gap, near - 1, axis=1)[:, :near]
        mean[part] = np.sqrt(np.maximum(nearest, 0.0)).mean(axis=1)
    return 1.0 / np.maximum(mean, 1e-12)
