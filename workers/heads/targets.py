"""Training targets from the decisions about each image, and checks of targets and weights."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.objective import F8

_MAX_WEIGHT = 1e9


def make_targets(votes: Sequence[Sequence[int]], label_ids: Sequence[int]) -> np.ndarray:
    """Return label indices (n,); or soft labels (n, L) where the decisions about an image differ.

    votes: for each image the label ids of its decisions, the decision that stands first. Soft labels are the
    share of the votes; votes for labels outside `label_ids` do not count.

    Raises KeyError when the first vote of an image is not in `label_ids`.
    """
    index = {label_id: i for i, label_id in enumerate(label_ids)}
    hard = np.array([index[image[0]] for image in votes], np.int64)
    if all(len(set(image)) == 1 for image in votes):
        return hard
    soft = np.zeros((len(votes), len(label_ids)))
    for row, image in enumerate(votes):
        counted = [index[label] for label in image if label in index]
        for label in counted:
            soft[row, label] += 1
        soft[row] /= len(counted)
    return soft


def hard_labels(y: np.ndarray) -> np.ndarray:
    """Return the label (n,) with most votes, of targets of either form; the first label where votes tie."""
    return y.argmax(axis=1) if y.ndim == 2 else y


def check_targets(y: ArrayLike, n: int, n_labels: int) -> F8:
    """Return (n, L) soft labels from label indices or soft labels. ValueError: shape, range, sums of rows."""
    target = np.asarray(y)
    if target.ndim == 2:
        soft = target.astype(np.float64)
        if soft.shape != (n, n_labels) or not np.isfinite(soft).all() or (soft < 0).any():
            raise ValueError(f"soft labels must be ({n}, {n_labels}), finite and not negative")
        if not np.allclose(soft.sum(axis=1), 1.0, atol=1e-4):
            raise ValueError("each row of soft labels must sum to one")
        return soft
    if target.shape != (n,) or (n and target.dtype.kind not in "iu"):
        raise ValueError(f"labels must be ({n},) integers, got {target.dtype} {target.shape}")
    if n and (target.min() < 0 or target.max() >= n_labels):
        raise ValueError(f"labels must lie in [0, {n_labels})")
    return np.eye(n_labels)[target.astype(np.int64)]


def check_weights(sample_weight: ArrayLike | None, n: int) -> F8:
    """Return (n,) weights, ones by default. ValueError: shape, below 0, or above 10⁹ (overflow)."""
    if sample_weight is None:
        return np.ones(n)
    v = np.asarray(sample_weight, np.float64)
    if v.shape != (n,) or not ((v >= 0) & (v <= _MAX_WEIGHT)).all():
        raise ValueError(f"sample_weight must be ({n},) numbers from 0 to {_MAX_WEIGHT:g}")
    return v
