"""A diverse batch of the most uncertain images.

Source: Zhdanov, "Diverse mini-batch active learning" (arXiv 1901.05954): k-means over a shortlist, each point
weighted by its uncertainty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.acquisition.medoids import interleave, medoids
from workers.acquisition.quotas import class_quotas

# Near-copies are removed from shortlists up to this length: it needs all distances. In longer ones k-means
# separates the copies.
_MAX_COMPARED = 1500
_MEDIAN_ROWS = 500  # for the median distance of a shortlist


def diverse_batch(
    X: NDArray[Any],
    uncertainty: NDArray[Any],
    predicted: NDArray[Any],
    k: int,
    *,
    n_labels: int,
    seed: int,
    rows: NDArray[np.int64] | None = None,
    labelled_counts: ArrayLike | None = None,
    shortlist: int = 25,
    shortlist_share: float = 0.1,
    quota_share: float = 0.25,
) -> NDArray[np.int64]:
    """Return k of m images: some by quotas of predicted labels, the rest from all images, both diverse.

    Args:
        X: (n, d) vectors, possibly a memory map, of which only the shortlists are read.
        uncertainty: (m,) images with larger values are asked sooner. predicted: (m,) label indices.
        rows: (m,) the rows of X of these images; all rows when omitted.
        labelled_counts: (L,) labels given so far, which quotas take into account.
        shortlist: at most this many candidates a question.
        shortlist_share: at most this share of the images, but at least k: in a small pool, uncertainty would
            otherwise not matter.
        quota_share: the part of k that is chosen by quotas.

    Returns:
        (min(k, m),) indices into `uncertainty`, both parts evenly mixed, most uncertain first within each.
    """
    n = len(uncertainty)
    row_of = np.arange(n) if rows is None else rows
    k = min(k, n)
    if k <= 0:
        return np.empty(0, np.int64)
    size = np.bincount(predicted, minlength=n_labels)
    quota = class_quotas(size, int(np.ceil(quota_share * k)), labelled_counts)
    # One radix sort instead of a pass over all images a label.
    narrow = predicted.astype(np.uint16 if n_labels <= 65_536 else np.int64)
    by_label = np.argsort(narrow, kind="stable")
    ends = np.cumsum(size)
    picks = []
    for c in np.flatnonzero(quota):
        images = by_label[ends[c] - size[c] : ends[c]]
        picks.append(
            _select(X, row_of, uncertainty, images, int(quota[c]), shortlist, shortlist_share, seed + int(c))
        )
    by_quota = interleave(picks)
    free = np.ones(n, bool)
    free[by_quota] = False
    rest = _select(
        X,
        row_of,
        uncertainty,
        np.flatnonzero(free),
        k - len(by_quota),
        shortlist,
        shortlist_share,
        seed + n_labels,
    )
    # Mixed in proportion, also for a reviewer who answers only a part of the batch.
    position = [(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in (rest, by_quota)]
    return np.concatenate([rest, by_quota])[np.argsort(np.concatenate(position), kind="stable")]


def _select(
    X: NDArray[Any],
    row_of: NDArray[np.int64],
    uncertainty: NDArray[Any],
    images: NDArray[np.int64],
    k: int,
    shortlist: int,
    shortlist_share: float,
    seed: int,
) -> NDArray[np.int64]:
    """Return k of the images: medoids of weighted k-means over the most uncertain, most uncertain first."""
    if k <= 0:
        return np.empty(0, np.int64)
    keep = max(k, min(shortlist * k, int(np.ceil(shortlist_share * len(images)))))
    compare = keep <= _MAX_COMPARED
    ranked = _most_uncertain(uncertainty, images, max(_MAX_COMPARED, keep) if compare else keep)
    best = _drop_near_copies(X, row_of, ranked[: 4 * keep], keep) if compare else ranked
    weight = np.maximum(uncertainty[best].astype(np.float64), 1e-6)
    chosen = best[medoids(X, k, seed=seed, weight=weight, rows=row_of[best])]
    return chosen[np.argsort(-uncertainty[chosen], kind="stable")]


def _most_uncertain(uncertainty: NDArray[Any], images: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the `count` most uncertain images, most uncertain first; equal ones keep their order.

    The result is that of a stable sort, without sorting all images.
    """
    values = uncertainty[images]
    if count < len(images):
        threshold = np.partition(values, len(values) - count)[len(values) - count]
        above = np.flatnonzero(values > threshold)
        equal = np.flatnonzero(values == threshold)[: count - len(above)]
        kept = np.sort(np.concatenate([above, equal]))
        images, values = images[kept], values[kept]
    return images[np.argsort(-values, kind="stable")]


def _drop_near_copies(
    X: NDArray[Any], row_of: NDArray[np.int64], ranked: NDArray[np.int64], keep: int
) -> NDArray[np.int64]:
    """Return the first `keep` ranked images without near-copies of earlier ones; copies fill up the rest.

    A burst of photographs of one part could fill the whole shortlist. A near-copy is nearer than a tenth of
    the median distance.
    """
    images = ranked[: max(_MAX_COMPARED, keep)]
    if len(images) <= 1:
        return images[:keep]
    V = np.asarray(X[row_of[images]], np.float32)
    V = V - V.mean(axis=0)
    square = np.einsum("ij,ij->i", V, V)
    distance = V @ V.T
    distance *= -2.0
    distance += square[:, None]
    distance += square[None, :]  # (m, m), squared
    sample = slice(None, None, 1 + (len(images) - 1) // _MEDIAN_ROWS)
    sampled = distance[sample, sample]
    near = distance < 0.01 * np.median(sampled[np.triu_indices(len(sampled), 1)])
    np.fill_diagonal(near, False)
    distinct = np.ones(len(images), bool)
    for i in np.flatnonzero(near.any(axis=1)):
        if distinct[i]:
            distinct[i + 1 :] &= ~near[i, i + 1 :]
    return np.concatenate([images[distinct], images[~distinct]])[:keep]
