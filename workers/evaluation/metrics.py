"""Measures of a classifier against people's labels, each with a Wilson interval.

Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
    """k of n, with an interval; ``value`` is None where n is 0."""

    k: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        return self.k / self.n if self.n else None


def proportion(k: int, n: int, confidence: float = 0.95) -> Proportion:
    """k of n with its Wilson interval."""
    return Proportion(int(k), int(n), *wilson(k, n, confidence))


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, n_labels: int) -> NDArray[np.int64]:
    """(L, L) counts: rows are the truth, columns what was predicted."""
    t, p = _pair(truth, predicted, n_labels)
    return np.bincount(t * n_labels + p, minlength=n_labels * n_labels).reshape(n_labels, n_labels)


def accuracy(truth: ArrayLike, predicted: ArrayLike, confidence: float = 0.95) -> Proportion:
    """Share of predictions equal to the truth."""
    t, p = np.asarray(truth), np.asarray(predicted)
    if t.shape != p.shape or t.ndim != 1:
        raise ValueError(f"truth and predictions must be two (n,) arrays, got {t.shape} and {p.shape}")
    return proportion(int((t == p).sum()), len(t), confidence)


@dataclass(frozen=True)
class LabelMeasures:
    """One label's row of the report."""

    label: int
    precision: Proportion  # of what was predicted so
    recall: Proportion  # of what is so


def per_label(confusion: ArrayLike, confidence: float = 0.95) -> list[LabelMeasures]:
    """Precision and recall of each label from a confusion matrix (L, L)."""
    matrix = np.asarray(confusion)
    hits = matrix.diagonal()
    said, true = matrix.sum(axis=0), matrix.sum(axis=1)
    return [
        LabelMeasures(c, proportion(hits[c], said[c], confidence), proportion(hits[c], true[c], confidence))
        for c in range(len(matrix))
    ]


@dataclass(frozen=True)
class MacroRecall:
    """Mean recall over the labels present in the truth; ``value`` is None where there are none."""

    value: float | None
    low: float
    high: float
    labels: int


def macro_recall(
    truth: ArrayLike, predicted: ArrayLike, n_labels: int, confidence: float = 0.95
) -> MacroRecall:
    """Mean over labels present in ``truth`` of each one's recall.

    The interval is Wilson's at the number of trials a plain proportion would need to vary as much as this mean
    of proportions does (each label's variance taken at its own Wilson centre, so that a label seen once and
    answered right still counts as uncertain).
    """
    matrix = confusion_matrix(truth, predicted, n_labels)
    true = matrix.sum(axis=1)
    present = true > 0
    if not present.any():
        return MacroRecall(None, 0.0, 1.0, 0)
    hits, n = matrix.diagonal()[present], true[present]
    value = float((hits / n).mean())
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (hits + z * z / 2) / (n + z * z)
    variance = float((centre * (1 - centre) / n).sum() / len(n) ** 2)
    pooled = float(centre.mean())
    trials = pooled * (1 - pooled) / variance
    low, high = wilson(min(value, 1.0) * trials, trials, confidence)
    return MacroRecall(value, low, high, int(present.sum()))


def _pair(
    truth: ArrayLike, predicted: ArrayLike, n_labels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    t, p = np.asarray(truth), np.asarray(predicted)
    if t.shape != p.shape or t.ndim != 1:
        raise ValueError(f"truth and predictions must be two (n,) arrays, got {t.shape} and {p.shape}")
    t, p = t.astype(np.int64), p.astype(np.int64)
    for name, values in (("truth", t), ("predictions", p)):
        if len(values) and (values.min() < 0 or values.max() >= n_labels):
            raise ValueError(f"{name} must lie in [0, {n_labels})")
    return t, p
