"""Calibration: one temperature, and how far the confidences are from the truth.

Source: Guo et al., "On calibration of modern neural networks" (arXiv 1706.04599).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.objective import log_softmax

# A Gaussian prior on log T, as strong as a fraction of one answer. It only matters where a few labels happen
# to be perfectly separated, when the maximum of the likelihood would lie at T = 0.
_LOG_T_SPREAD = 1.0
_BOUNDS = (0.02, 50.0)


def fit_temperature(logits: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float:
    """The temperature that makes softmax(logits / T) most likely, on scores the head was not fitted on.

    Args:
        logits: (n, L) out-of-fold logits.
        y: (n,) label indices, or (n, L) soft labels.
        sample_weight: (n,) ≥ 0.

    Returns:
        T in [0.02, 50]; 1.0 for no rows or one label.
    """
    from scipy.optimize import minimize_scalar

    scores = np.asarray(logits, np.float64)
    if scores.ndim != 2:
        raise ValueError(f"logits must be (n, L), got {scores.shape}")
    n, n_labels = scores.shape
    if n == 0 or n_labels < 2:
        return 1.0
    target = np.asarray(y)
    soft = target if target.ndim == 2 else np.eye(n_labels)[target.astype(np.int64)]
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
    centred = scores - scores.max(axis=1, keepdims=True)

    def negative(log_t: float) -> float:
        logp = log_softmax(centred / np.exp(log_t))
        return float(-(weight @ (soft * logp).sum(axis=1)) + 0.5 * (log_t / _LOG_T_SPREAD) ** 2)

    found = minimize_scalar(
        negative, bounds=tuple(np.log(_BOUNDS)), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))


@dataclass(frozen=True)
class Reliability:
    """Points of a reliability diagram; bins are of equal width over [0, 1], empty ones hold NaN."""

    lower: NDArray[np.float64]  # (bins,)
    upper: NDArray[np.float64]  # (bins,)
    count: NDArray[Any]  # (bins,) rows, or their weight
    confidence: NDArray[np.float64]  # (bins,) mean confidence
    frequency: NDArray[np.float64]  # (bins,) share that was right

    @property
    def error(self) -> float:
        """Expected calibration error: Σ count/n · |frequency − confidence|; 0 with nothing counted."""
        filled = self.count > 0
        if not filled.any():
            return 0.0
        gap = np.abs(self.frequency[filled] - self.confidence[filled])
        return float((self.count[filled] * gap).sum() / self.count.sum())


def reliability(
    probs: ArrayLike, y: ArrayLike, *, bins: int = 15, sample_weight: ArrayLike | None = None
) -> Reliability:
    """Confidence against frequency. probs (n, L), y (n,) label indices, sample_weight (n,) ≥ 0."""
    p = np.asarray(probs, np.float64)
    truth = np.asarray(y).astype(np.int64)
    if p.ndim != 2 or truth.shape != (len(p),):
        raise ValueError(f"probs must be (n, L) and y (n,), got {p.shape} and {truth.shape}")
    weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weight is not None and weight.shape != truth.shape:
        raise ValueError(f"sample_weight must be {truth.shape}, got {weight.shape}")
    if bins < 1:
        raise ValueError("at least one bin is needed")
    edges = np.linspace(0.0, 1.0, bins + 1)
    count = np.zeros(bins, np.int64)
    sums = np.zeros((2, bins))
    if len(p):
        confidence = p.max(axis=1)
        right = p.argmax(axis=1) == truth
        where = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
        each = np.ones(len(p)) if weight is None else weight
        count = np.bincount(where, weights=weight, minlength=bins)
        sums[0] = np.bincount(where, weights=each * confidence, minlength=bins)
        sums[1] = np.bincount(where, weights=each * right, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / count
    return Reliability(edges[:-1], edges[1:], count, means[0], means[1])


def expected_calibration_error(
    probs: ArrayLike, y: ArrayLike, bins: int = 15, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean gap between confidence and frequency over equal-width bins, weighted by what is in them."""
    return reliability(probs, y, bins=bins, sample_weight=sample_weight).error
