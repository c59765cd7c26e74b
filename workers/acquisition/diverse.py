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


def diverse_batch(
    X: NDArray[Any],
    uncertainty: NDArray[Any],
    predicted: NDArray[Any],
    k: int,
    *,
    n_labels: int,
    seed: int,
    already: ArrayLike | None = None,
    shortlist: int = 25,
    share: float = 0.25,
) -> NDArray[np.int64]:
    """k rows of X (n, d): shortlist by uncertainty, quotas by predicted class, weighted k-means inside each.

    Args:
        uncertainty: (n,) larger is asked sooner. predicted: (n,) label indices.
        already: (L,) labels given so far, which quotas make up for.
        shortlist: no more than this many candidates a question …
        share: … nor than this share of a class's images (but always as many as its quota): in a small pool
            `shortlist` alone would admit everything, and diversity alone would choose.

    Returns:
        (min(k, n),) rows, classes taking turns, most uncertain first within each.
    """
    n = len(X)
    k = min(k, n)
    if k <= 0:
        return np.empty(0, np.int64)
    counts = np.bincount(predicted, minlength=n_labels)
    quota = quotas(counts, k, already)
    picks = []
    for c in np.flatnonzero(quota):
        rows = np.flatnonzero(predicted == c)
        q = int(quota[c])
        keep = max(q, min(shortlist * q, int(np.ceil(share * len(rows)))))
        best = rows[np.argsort(-uncertainty[rows], kind="stable")[:keep]]
        weight = np.maximum(uncertainty[best].astype(np.float64), 1e-6)
        chosen = best[medoids(X[best], q, seed=seed + int(c), weight=weight)]
        picks.append(chosen[np.argsort(-uncertainty[chosen], kind="stable")])
    return take_turns(picks)
