"""Measures of a classifier on reviewed labels, each with a Wilson interval.

Weights (n,) are those of `workers.evaluation.strata`: how many images each audited image represents. Without
them all images have the same weight.

The intervals are in the package `intervals`. The formulas are in docs/explanation/evaluation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from intervals import wilson

Weights = ArrayLike | None


@dataclass(frozen=True)
class Proportion:
    """A proportion with its interval; ``value`` is None if n is 0.

    k and n are numbers of images. Without weights value is k / n and trials is n; with weights, trials is the
    effective number of images.
    """

    k: int
    n: int
    low: float
    high: float
    value: float | None
    trials: float


def proportion(k: int, n: int, confidence: float = 0.95) -> Proportion:
    """Return k of n with its Wilson interval."""
    low, high = wilson(k, n, confidence)
    return Proportion(int(k), int(n), low, high, k / n if n else None, float(n))


def weighted_proportion(hits: ArrayLike, weights: Weights = None, confidence: float = 0.95) -> Proportion:
    """Return the weighted proportion of hits (n,) bool, with its interval.

    The interval is Wilson's with an effective number of trials: (Σw)² / Σw² (Kish 1965, "Survey sampling"),
    or fewer where images of large weight vary more, by the variance of a ratio,

        v = Σ w² (hit − c)² / (Σ w)²,   trials = min( (Σw)² / Σw²,  c (1 − c) / v )

    with c the centre of Wilson's interval for Kish's number, so that a few images that are all correct still
    have a variance. Equal weights give exactly n trials. ValueError: lengths differ, or a weight is not
    positive.
    """
    hit = np.asarray(hits, bool)
    n, k = len(hit), int(hit.sum())
    if weights is None or not n:
        return proportion(k, n, confidence)
    w = np.asarray(weights, np.float64)
    if w.shape != hit.shape:
        raise ValueError(f"hits and weights must be two (n,) arrays, got {hit.shape} and {w.shape}")
    if not (np.isfinite(w) & (w > 0)).all():
        raise ValueError("weights must be finite and above zero")
    if (w == w[0]).all():
        return proportion(k, n, confidence)
    w = w / w.sum()
    value = min(1.0, float(w[hit].sum()))
    trials = float(1 / (w * w).sum())
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (value * trials + z * z / 2) / (trials + z * z)
    variance = float((w * w * (hit - centre) ** 2).sum())
    trials = min(trials, centre * (1 - centre) / variance)
    # Exact 0 and 1: a sum of the weights could be 1 − 1e-16.
    value = 0.0 if k == 0 else 1.0 if k == n else value
    low, high = wilson(value * trials, trials, confidence)
    return Proportion(k, n, low, high, value, trials)


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, n_labels: int) -> NDArray[np.int64]:
    """Return (L, L) counts: rows are true labels, columns predicted labels."""
    t, p = _check_labels(truth, predicted, n_labels)
    return np.bincount(t * n_labels + p, minlength=n_labels * n_labels).reshape(n_labels, n_labels)


def accuracy(
    truth: ArrayLike, predicted: ArrayLike, confidence: float = 0.95, weights: Weights = None
) -> Proportion:
    """Return the proportion of predictions equal to the true label."""
    t, p = np.asarray(truth), np.asarray(predicted)
    if t.shape != p.shape or t.ndim != 1:
        raise ValueError(f"truth and predictions must be two (n,) arrays, got {t.shape} and {p.shape}")
    return weighted_proportion(t == p, weights, confidence)


@dataclass(frozen=True)
class LabelMeasures:
    """Precision and recall of one label."""

    label: int
    precision: Proportion
    recall: Proportion


def per_label(
    truth: ArrayLike,
    predicted: ArrayLike,
    n_labels: int,
    confidence: float = 0.95,
    weights: Weights = None,
) -> list[LabelMeasures]:
    """Return precision and recall of each label.

    A truth of −1 is a label outside the schema: every prediction for it is wrong. ValueError: other labels
    outside [0, n_labels).
    """
    t, p = _check_labels(truth, predicted, n_labels, allow_unknown=True)
    w = None if weights is None else np.asarray(weights, np.float64)

    def correct_among(rows: NDArray[np.bool_]) -> Proportion:
        return weighted_proportion(t[rows] == p[rows], None if w is None else w[rows], confidence)

    return [LabelMeasures(c, correct_among(p == c), correct_among(t == c)) for c in range(n_labels)]


@dataclass(frozen=True)
class MacroRecall:
    """Mean recall over the labels that occur in the truth; ``value`` is None if there are none."""

    value: float | None
    low: float
    high: float
    labels: int


def macro_recall(
    truth: ArrayLike,
    predicted: ArrayLike,
    n_labels: int,
    confidence: float = 0.95,
    weights: Weights = None,
) -> MacroRecall:
    """Return the mean recall of the labels that occur in ``truth``.

    The interval is Wilson's with the number of trials at which a proportion has the variance of this mean.
    The variance of each label is taken at its Wilson centre, so a label with one correct image has a
    variance.
    """
    t, p = _check_labels(truth, predicted, n_labels)
    w = None if weights is None else np.asarray(weights, np.float64)
    recalls = [
        weighted_proportion(p[t == c] == c, None if w is None else w[t == c], confidence)
        for c in range(n_labels)
        if (t == c).any()
    ]
    if not recalls:
        return MacroRecall(None, 0.0, 1.0, 0)
    values = np.array([recall.value for recall in recalls])
    n = np.array([recall.trials for recall in recalls])
    value = float(values.mean())
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (values * n + z * z / 2) / (n + z * z)
    variance = float((centre * (1 - centre) / n).sum() / len(n) ** 2)
    pooled = float(centre.mean())
    trials = pooled * (1 - pooled) / variance
    low, high = wilson(min(value, 1.0) * trials, trials, confidence)
    return MacroRecall(value, low, high, len(recalls))


def _check_labels(
    truth: ArrayLike, predicted: ArrayLike, n_labels: int, *, allow_unknown: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    t, p = np.asarray(truth), np.asarray(predicted)
    if t.shape != p.shape or t.ndim != 1:
        raise ValueError(f"truth and predictions must be two (n,) arrays, got {t.shape} and {p.shape}")
    t, p = t.astype(np.int64), p.astype(np.int64)
    for name, values, lowest in (("truth", t, -1 if allow_unknown else 0), ("predictions", p, 0)):
        if len(values) and (values.min() < lowest or values.max() >= n_labels):
            raise ValueError(f"{name} must lie in [0, {n_labels})")
    return t, p
