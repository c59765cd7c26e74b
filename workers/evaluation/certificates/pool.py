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
from workers.evaluation.strata import weigh

MIN_AUDITS = 12  # audited images in a stratum of confidence, on average
MAX_STRATA = 5


@dataclass(frozen=True)
class PoolAccuracy:
    """Share of right labels in a pool, with its interval; value is None if it cannot be estimated.

    by_people and by_machine are numbers of images; machine is the estimated accuracy of the latter's labels.
    left_out: images without a label of a person in imports without an audited image. They are not in
    by_machine, and the figure does not cover them.
    """

    value: float | None
    low: float
    high: float
    by_people: int
    by_machine: int
    machine: float | None
    audited: int
    left_out: int = 0


def pool_accuracy(
    audited_confidence: ArrayLike,
    audited_right: ArrayLike,
    open_confidence: ArrayLike,
    by_people: int,
    confidence: float = 0.95,
    *,
    audited_import: ArrayLike | None = None,
    open_import: ArrayLike | None = None,
    import_sizes: ArrayLike | None = None,
    differing: int = 0,
) -> PoolAccuracy:
    """Return the accuracy of people's and machine's labels together, with its interval.

    Reviewers label the images of which the head is unsure, so the images without a decision are easier than
    the reserve. In each import the audited images are therefore post-stratified by the confidence of the
    head: an audited image of stratum h has the weight U_h / n_h (U_h images without a decision, n_h audited
    ones). Assumption: at equal confidence the head is right as often on images without a decision as on
    audited ones. People's labels count as right. Source: Cochran, "Sampling techniques" (1977), section
    5A.9.

    Within a stratum reviewers take the harder images, so this estimate is rather too low, and the two ends
    of the interval have different sources:

    - low: the lower end of Wilson's interval at the effective number of audits, for the machine's part.
    - high: the upper end of the same interval, or a bound without the assumption if the bound is higher. The
      audits show that the head is wrong on at least e of the images that no training used (upper end of the
      audit estimate). Of the N images, e·N would have a wrong label without people, and each label of a
      person removes at most one of these errors. So at least e·N − (labels of people) labels are wrong.

    Args:
        audited_confidence: (n,) of the head in use on the audited images; audited_right: (n,) bool.
        open_confidence: (U,) on all images without a decision, which keep the machine's label.
        by_people: number of images with a confirmed label, audited ones included.
        audited_import, open_import: (n,) and (U,) indices into import_sizes: the groups of images with the
            same probability of an audit. import_sizes: (H,) images of each group. None: one group.
        differing: further images with a certified label that the head does not predict. The audits do not
            show whether these labels are right: the lower end counts them as wrong, the upper end as right.
    """
    audits = np.asarray(audited_confidence, np.float64)
    right = np.asarray(audited_right, bool)
    waiting = np.asarray(open_confidence, np.float64)
    if audits.shape != right.shape or audits.ndim != 1:
        raise ValueError(f"need two (n,) arrays, got {audits.shape} and {right.shape}")
    if by_people < 0 or differing < 0:
        raise ValueError("a number of images is negative")
    import_of = _groups(audited_import, audits)
    open_import_of = _groups(open_import, waiting)
    sampled = np.isin(open_import_of, import_of) if len(audits) else np.ones(len(waiting), bool)
    left_out = int(np.count_nonzero(~sampled))
    waiting, open_import_of = waiting[sampled], open_import_of[sampled]
    n, by_machine = len(audits), len(waiting) + differing
    total = by_people + by_machine
    if not total:
        return PoolAccuracy(None, 0.0, 1.0, 0, 0, None, n, left_out)
    if not by_machine:
        value = None if left_out else 1.0
        return PoolAccuracy(value, 1.0, 1.0, by_people, 0, None, n, left_out)
    if not n or not len(waiting):
        return PoolAccuracy(None, by_people / total, 1.0, by_people, by_machine, None, n, left_out)
    weights = _weights(audits, import_of, waiting, open_import_of)
    used = weights > 0
    machine = weighted_proportion(right[used], weights[used], confidence)
    share = machine.value or 0.0
    low = (by_people + len(waiting) * machine.low) / total
    value = (by_people + by_machine * share) / total
    high = (by_people + len(waiting) * machine.high + differing) / total
    by_import = None if import_sizes is None else weigh(import_of, import_sizes).weights
    fresh = weighted_proportion(right, by_import, confidence)
    removed = max(0, by_people - int(right.sum())) + differing
    errors_left = max(0.0, (1 - fresh.high) * total - removed)
    high = min(1.0, max(high, 1 - errors_left / total))
    return PoolAccuracy(
        float(value), float(low), float(high), by_people, by_machine, machine.value, n, left_out
    )


def _groups(group: ArrayLike | None, images: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the group of each image, 0 for all without groups."""
    given = np.zeros(len(images), np.int64) if group is None else np.asarray(group, np.int64)
    if given.shape != images.shape:
        raise ValueError(f"need a group for each of {len(images)} images, got {given.shape}")
    return given


def _weights(
    audits: NDArray[np.float64],
    import_of: NDArray[np.int64],
    waiting: NDArray[np.float64],
    open_import_of: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the images without a decision that each audited image represents; 0 in an import without any."""
    weights = np.zeros(len(audits))
    for group in np.unique(open_import_of):
        mine = np.flatnonzero(import_of == group)
        stratum, sizes = _strata(audits[mine], waiting[open_import_of == group])
        weights[mine] = (sizes / np.bincount(stratum, minlength=len(sizes)))[stratum]
    return weights


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
