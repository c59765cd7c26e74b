"""Accuracy of all labels of a pool: people's labels where there are some, the machine's elsewhere.

The audit estimate of a head is about the head's predictions on the audit reserve, that is on images that no
training used. Readers take it for the share of right labels in the pool. This module estimates the latter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.evaluation.metrics import weighted_proportion

MIN_AUDITS = 12  # audited images in a stratum of confidence, on average
MAX_STRATA = 5


@dataclass(frozen=True)
class PoolAccuracy:
    """Share of right labels in a pool, with its interval; value is None if it cannot be estimated.

    by_people and by_machine are numbers of images; machine is the estimated accuracy of the latter's labels.
    """

    value: float | None
    low: float
    high: float
    by_people: int
    by_machine: int
    machine: float | None
    audited: int


def pool_accuracy(
    audited_confidence: ArrayLike,
    audited_right: ArrayLike,
    open_confidence: ArrayLike,
    by_people: int,
    confidence: float = 0.95,
) -> PoolAccuracy:
    """Return the accuracy of people's and machine's labels together, with its interval.

    Reviewers label the images of which the head is unsure, so the images without a decision are easier than
    the reserve. The audited images are therefore post-stratified by the confidence of the head: an audited
    image of stratum h has the weight U_h / n_h (U_h images without a decision, n_h audited ones). Assumption:
    at equal confidence the head is right as often on images without a decision as on audited ones. People's
    labels count as right. Within a stratum reviewers take the harder images, so the estimate is rather too
    low: read the lower end as “at least”. The interval is Wilson's at the effective number of audits, for the
    machine's part alone. Source: Cochran, "Sampling techniques" (1977), section 5A.9.

    Args:
        audited_confidence: (n,) of the head in use on the audited images; audited_right: (n,) bool.
        open_confidence: (U,) on all images without a decision, which keep the machine's label.
        by_people: number of images with a confirmed label, audited ones included.
    """
    audits = np.asarray(audited_confidence, np.float64)
    right = np.asarray(audited_right, bool)
    waiting = np.asarray(open_confidence, np.float64)
    if audits.shape != right.shape or audits.ndim != 1:
        raise ValueError(f"need two (n,) arrays, got {audits.shape} and {right.shape}")
    if by_people < 0:
        raise ValueError("by_people is negative")
    n, total = len(audits), by_people + len(waiting)
    if not total:
        return PoolAccuracy(None, 0.0, 1.0, 0, 0, None, n)
    if not len(waiting):
        return PoolAccuracy(1.0, 1.0, 1.0, by_people, 0, None, n)
    if not n:
        return PoolAccuracy(None, by_people / total, 1.0, by_people, len(waiting), None, 0)
    stratum, sizes = _strata(audits, waiting)
    counts = np.bincount(stratum, minlength=len(sizes))
    machine = weighted_proportion(right, (sizes / counts)[stratum], confidence)
    low, value, high = (
        float((by_people + len(waiting) * share) / total)
        for share in (machine.low, machine.value or 0.0, machine.high)
    )
    return PoolAccuracy(value, low, high, by_people, len(waiting), machine.value, n)


def _strata(audits: NDArray[Any], waiting: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the stratum of each audited image, and the images without a decision in each stratum.

    Strata hold equal numbers of audited images. Neighbours are merged until each holds an audited image and
    an image without a decision.
    """
    wanted = int(np.clip(len(audits) // MIN_AUDITS, 1, MAX_STRATA))
    edges = np.unique(np.quantile(audits, np.arange(1, wanted) / wanted))
    while True:
        stratum = np.searchsorted(edges, audits, side="right")
        number = len(edges) + 1
        counts = np.bincount(stratum, minlength=number)
        sizes = np.bincount(np.searchsorted(edges, waiting, side="right"), minlength=number)
        empty = np.flatnonzero((counts == 0) | (sizes == 0))
        if not len(empty):
            return stratum.astype(np.int64), sizes.astype(np.int64)
        edges = np.delete(edges, max(0, int(empty[0]) - 1))
