"""From the most uncertain images, a batch whose members differ.

Source: Zhdanov, "Diverse mini-batch active learning" (arXiv 1901.05954): k-means over a shortlist, each point
weighted by its uncertainty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.acquisition.medoids import medoids, take_turns
from workers.acquisition.quotas import quotas

# Shortlists up to this length are cleared of near-copies, which takes its square in memory; longer ones hold
# so many candidates a question that k-means alone keeps copies apart.
_COMPARED = 1500
# The usual distance among them is that among every so manieth, at most this many.
_MEDIAN_OF = 500


def diverse_batch(
    X: NDArray[Any],
    uncertainty: NDArray[Any],
    predicted: NDArray[Any],
    k: int,
    *,
    n_labels: int,
    seed: int,
    rows: NDArray[np.int64] | None = None,
    already: ArrayLike | None = None,
    shortlist: int = 25,
    share: float = 0.1,
    balance: float = 0.25,
) -> NDArray[np.int64]:
    """k of m images: a part by quotas of predicted class, the rest from the whole pool, both diverse.

    Args:
        X: (n, d) vectors, possibly a memory map, of which no more than the shortlists are read.
        uncertainty: (m,) larger is asked sooner. predicted: (m,) label indices.
        rows: (m,) the rows of X that these are about; all of them, in order, when omitted.
        already: (L,) labels given so far, which quotas make up for.
        shortlist: no more than this many candidates a question …
        share: … nor than this share of the images (but always as many as are asked): in a small pool
            `shortlist` alone would admit everything, and diversity alone would choose.
        balance: the part of k that is shared out by quotas.

    Returns:
        (min(k, m),) indices into `uncertainty`, both parts evenly mixed, most uncertain first within each.
    """
    n = len(uncertainty)
    at = np.arange(n) if rows is None else rows
    k = min(k, n)
    if k <= 0:
        return np.empty(0, np.int64)
    size = np.bincount(predicted, minlength=n_labels)
    quota = quotas(size, int(np.ceil(balance * k)), already)
    # One radix sort instead of a pass over all images a class.
    narrow = predicted.astype(np.uint16 if n_labels <= 65_536 else np.int64)
    by_class = np.argsort(narrow, kind="stable")
    ends = np.cumsum(size)
    picks = []
    for c in np.flatnonzero(quota):
        mine = by_class[ends[c] - size[c] : ends[c]]
        picks.append(_among(X, at, uncertainty, mine, int(quota[c]), shortlist, share, seed + int(c)))
    balanced = take_turns(picks)
    free = np.ones(n, bool)
    free[balanced] = False
    rest = _among(
        X, at, uncertainty, np.flatnonzero(free), k - len(balanced), shortlist, share, seed + n_labels
    )
    # Whoever answers only some of the batch still gets both parts in proportion.
    place = [(np.arange(len(each)) + 0.5) / max(len(each), 1) for each in (rest, balanced)]
    return np.concatenate([rest, balanced])[np.argsort(np.concatenate(place), kind="stable")]


def _among(
    X: NDArray[Any],
    at: NDArray[np.int64],
    uncertainty: NDArray[Any],
    rows: NDArray[np.int64],
    k: int,
    shortlist: int,
    share: float,
    seed: int,
) -> NDArray[np.int64]:
    """k of these rows: medoids of weighted k-means over the most uncertain, most uncertain first."""
    if k <= 0:
        return np.empty(0, np.int64)
    keep = max(k, min(shortlist * k, int(np.ceil(share * len(rows)))))
    compared = keep <= _COMPARED
    ranked = _first(uncertainty, rows, max(_COMPARED, keep) if compared else keep)
    best = _without_copies(X, at, ranked[: 4 * keep], keep) if compared else ranked
    weight = np.maximum(uncertainty[best].astype(np.float64), 1e-6)
    chosen = best[medoids(X, k, seed=seed, weight=weight, rows=at[best])]
    return chosen[np.argsort(-uncertainty[chosen], kind="stable")]


def _first(uncertainty: NDArray[Any], rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The `count` most uncertain of these rows, most uncertain first, earlier rows first among equals.

    The same as the head of a stable sort, without sorting a million.
    """
    mine = uncertainty[rows]
    if count < len(rows):
        least = np.partition(mine, len(mine) - count)[len(mine) - count]
        above = np.flatnonzero(mine > least)
        level = np.flatnonzero(mine == least)[: count - len(above)]
        kept = np.sort(np.concatenate([above, level]))
        rows, mine = rows[kept], mine[kept]
    return rows[np.argsort(-mine, kind="stable")]


def _without_copies(
    X: NDArray[Any], at: NDArray[np.int64], ranked: NDArray[np.int64], keep: int
) -> NDArray[np.int64]:
    """The first `keep` of the ranked rows that are no near-copy of an earlier one, filled up with copies.

    A burst of photographs of one part is uncertain as one, and would fill the whole shortlist. A near-copy is
    nearer than a tenth of the median distance between the rows.
    """
    rows = ranked[: max(_COMPARED, keep)]
    if len(rows) <= 1:
        return rows[:keep]
    V = np.asarray(X[at[rows]], np.float32)
    V = V - V.mean(axis=0)
    square = np.einsum("ij,ij->i", V, V)
    gap = V @ V.T
    gap *= -2.0
    gap += square[:, None]
    gap += square[None, :]  # (m, m) squared distances
    some = slice(None, None, 1 + (len(rows) - 1) // _MEDIAN_OF)
    few = gap[some, some]
    near = gap < 0.01 * np.median(few[np.triu_indices(len(few), 1)])
    np.fill_diagonal(near, False)
    fresh = np.ones(len(rows), bool)
    for i in np.flatnonzero(near.any(axis=1)):
        if fresh[i]:
            fresh[i + 1 :] &= ~near[i, i + 1 :]
    return np.concatenate([rows[fresh], rows[~fresh]])[:keep]
