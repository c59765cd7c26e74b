"""Measures of a classifier against people's labels, each with a Wilson interval.

Weights (n,), where a measure takes them, are those of `workers.evaluation.strata`: how many images each audited one
stands for. Without them every image counts alike, and the intervals are Wilson's as they are.

Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference". docs/explanation/
evaluation.md tells the formulas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Weights = ArrayLike | None


def wilson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion of k successes in n trials.

    With n = 0 nothing is known: (0, 1).

    Raises:
        ValueError: k outside [0, n], or confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ValueError("confidence must lie strictly between 0 and 1")
    if n < 0 or not 0 <= k <= n:
        raise ValueError(f"need 0 <= k <= n, got k={k}, n={n}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = k / n
    widen = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / widen
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / widen
    # The ends are exact where arithmetic would leave 1e-17.
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Proportion:
    """k of n images, and the share they stand for with its interval; ``value`` is None where n is 0.

    k and n count images. Without weights value is k / n, and trials is n; with them, trials is the number of equally
    weighted images that would tell as much.
    """

    k: int
    n: int
    low: float
    high: float
    value: float | None
    trials: float


def proportion(k: int, n: int, confidence: float = 0.95) -> Proportion:
    """k of n with its Wilson interval."""
    low, high = wilson(k, n, confidence)
    return Proportion(int(k), int(n), low, high, k / n if n else None, float(n))


def weighted(hits: ArrayLike, weights: Weights = None, confidence: float = 0.95) -> Proportion:
    """The weighted share of hits (n,) bool, with an interval.

    The interval is Wilson's at an effective number of trials: (Σw)² / Σw² (Kish 1965, "Survey sampling"), or fewer
    where the heavy images are those that vary, by the variance of a ratio,

        v = Σ w² (hit − c)² / (Σ w)²,   trials = min( (Σw)² / Σw²,  c (1 − c) / v )

    with c the centre of Wilson's interval at Kish's number, so that a handful of images that are all right still
    count as uncertain. Equal weights give n trials exactly. ValueError: lengths differ, or a weight is not positive.
    """
    right = np.asarray(hits, bool)
    n, k = len(right), int(right.sum())
    if weights is None or not n:
        return proportion(k, n, confidence)
    w = np.asarray(weights, np.float64)
    if w.shape != right.shape:
        raise ValueError(f"hits and weights must be two (n,) arrays, got {right.shape} and {w.shape}")
    if not (np.isfinite(w) & (w > 0)).all():
        raise ValueError("weights must be finite and above zero")
    if (w == w[0]).all():
        return proportion(k, n, confidence)
    w = w / w.sum()
    value = min(1.0, float(w[right].sum()))
    trials = float(1 / (w * w).sum())
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (value * trials + z * z / 2) / (trials + z * z)
    variance = float((w * w * (right - centre) ** 2).sum())
    trials = min(trials, centre * (1 - centre) / variance)
    # All or nothing is exact: the sum of the weights would leave 1 − 1e-16.
    value = 0.0 if k == 0 else 1.0 if k == n else value
    low, high = wilson(value * trials, trials, confidence)
    return Proportion(k, n, low, high, value, trials)


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, n_labels: int) -> NDArray[np.int64]:
    """(L, L) counts: rows are the truth, columns what was predicted."""
    t, p = _pair(truth, predicted, n_labels)
    return np.bincount(t * n_labels + p, minlength=n_labels * n_labels).reshape(n_labels, n_labels)


def accuracy(
    truth: ArrayLike, predicted: ArrayLike, confidence: float = 0.95, weights: Weights = None
) -> Proportion:
    """Share of predictions equal to the truth."""
    t, p = np.asarray(truth), np.asarray(predicted)
    if t.shape != p.shape or t.ndim != 1:
        raise ValueError(f"truth and predictions must be two (n,) arrays, got {t.shape} and {p.shape}")
    return weighted(t == p, weights, confidence)


@dataclass(frozen=True)
class LabelMeasures:
    """One label's row of the report."""

    label: int
    precision: Proportion  # of what was predicted so
    recall: Proportion  # of what is so


def per_label(
    truth: ArrayLike,
    predicted: ArrayLike,
    n_labels: int,
    confidence: float = 0.95,
    weights: Weights = None,
) -> list[LabelMeasures]:
    """Precision and recall of each label. A truth of −1 is a label outside the schema: predictions of it are wrong.

    ValueError: labels outside [0, n_labels), but for a truth of −1.
    """
    t, p = _pair(truth, predicted, n_labels, unknown=True)
    w = None if weights is None else np.asarray(weights, np.float64)

    def share(of: NDArray[np.bool_]) -> Proportion:
        return weighted(t[of] == p[of], None if w is None else w[of], confidence)

    return [LabelMeasures(c, share(p == c), share(t == c)) for c in range(n_labels)]


@dataclass(frozen=True)
class MacroRecall:
    """Mean recall over the labels present in the truth; ``value`` is None where there are none."""

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
    """Mean over labels present in ``truth`` of each one's recall.

    The interval is Wilson's at the number of trials a plain proportion would need to vary as much as this mean
    of proportions does (each label's variance taken at its own Wilson centre, so that a label seen once and
    answered right still counts as uncertain).
    """
    t, p = _pair(truth, predicted, n_labels)
    w = None if weights is None else np.asarray(weights, np.float64)
    recalls = [
        weighted(p[t == c] == c, None if w is None else w[t == c], confidence)
        for c in range(n_labels)
        if (t == c).any()
    ]
    if not recalls:
        return MacroRecall(None, 0.0, 1.0, 0)
    values = np.array([each.value for each in recalls])
    n = np.array([each.trials for each in recalls])
    value = float(values.mean())
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (values * n + z * z / 2) / (n + z * z)
    variance = float((centre * (1 - centre) / n).sum() / len(n) ** 2)
    pooled = float(centre.mean())
    trials = pooled * (1 - pooled) / variance
    low, high = wilson(min(value, 1.0) * trials, trials, confidence)
    return MacroRecall(value, low, high, len(recalls))


def _pair(
    truth: ArrayLike, predicted: ArrayLike, n_labels: int, *, unknown: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    t, p = np.asarray(truth), np.asarray(predicted)
    if t.shape != p.shape or t.ndim != 1:
        raise ValueError(f"truth and predictions must be two (n,) arrays, got {t.shape} and {p.shape}")
    t, p = t.astype(np.int64), p.astype(np.int64)
    for name, values, least in (("truth", t, -1 if unknown else 0), ("predictions", p, 0)):
        if len(values) and (values.min() < least or values.max() >= n_labels):
            raise ValueError(f"{name} must lie in [0, {n_labels})")
    return t, p
