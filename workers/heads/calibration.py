"""Calibration: one temperature, the share of answers that are slips, and how far confidences are from the truth.

Sources: Guo et al., "On calibration of modern neural networks" (arXiv 1706.04599); symmetric label noise as in
Patrini et al., "Making deep neural networks robust to label noise" (arXiv 1609.03683).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.estimator import targets, weights
from workers.heads.objective import F8, log_softmax

# A Gaussian prior on log T, as strong as a fraction of one answer. It only matters where a few labels happen
# to be perfectly separated, when the maximum of the likelihood would lie at T = 0.
_LOG_T_SPREAD = 1.0
_BOUNDS = (0.02, 50.0)
# Before they are seen, people are believed to be right as if ten answers had been: a handful of surprises is then
# laid to the head, not to them.
_BELIEF_IN_PEOPLE = 10.0
_MOST_SLIPS = 0.5


@dataclass(frozen=True)
class Calibration:
    """What turns a head's logits z into probabilities, and those into what people will say.

    softmax(z / temperature) are probabilities p of the truth. A share ``slips`` of the answers is anything at random:
    a person says label k with probability (1 − slips) · p_k + slips / L.
    """

    temperature: float = 1.0
    slips: float = 0.0

    def log_answers(self, logits: ArrayLike) -> F8:
        """Logarithms of the probabilities (n, L) of each answer, from logits (n, L)."""
        logp = log_softmax(np.asarray(logits, np.float64) / self.temperature)
        if self.slips == 0.0:
            return logp
        return np.logaddexp(np.log1p(-self.slips) + logp, np.log(self.slips / logp.shape[1]))

    def said(self, probs: ArrayLike) -> F8:
        """Probabilities (n, L) of each answer, from those of the truth."""
        p = np.asarray(probs, np.float64)
        return (1.0 - self.slips) * p + self.slips / p.shape[1]


def fit_calibration(
    logits: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> Calibration:
    """The temperature and the share of slips that make the answers most likely, on scores the head was not fitted on.

    Both at once, because either alone takes the blame for the other: one confident head that is contradicted in a
    tenth of its answers looks like an unsure head to a temperature. They are told apart by where the contradictions
    lie: those of an unsure head where it is unsure, those of slips everywhere.

    Args:
        logits: (n, L) out-of-fold logits.
        y: (n,) label indices, or (n, L) soft labels.
        sample_weight: (n,) ≥ 0.

    Returns:
        T in [0.02, 50], slips in [0, 0.5]; 1 and 0 for no rows or one label.
    """
    from scipy.optimize import minimize

    scores = np.asarray(logits, np.float64)
    if scores.ndim != 2:
        raise ValueError(f"logits must be (n, L), got {scores.shape}")
    n, n_labels = scores.shape
    soft, weight = targets(y, n, n_labels), weights(sample_weight, n)
    if n == 0 or n_labels < 2:
        return Calibration()
    centred = scores - scores.max(axis=1, keepdims=True)

    def negative(theta: F8) -> tuple[float, F8]:
        log_t, slips = theta
        z = centred / np.exp(log_t)
        p = np.exp(log_softmax(z))
        said = (1.0 - slips) * p + slips / n_labels
        share = soft / np.maximum(said, 1e-300)
        value = -float(weight @ (soft * np.log(np.maximum(said, 1e-300))).sum(axis=1))
        value += 0.5 * (log_t / _LOG_T_SPREAD) ** 2 - (_BELIEF_IN_PEOPLE - 1.0) * np.log1p(-slips)
        by_p = (1.0 - slips) * share  # ∂ log-likelihood / ∂p
        by_z = p * (by_p - (by_p * p).sum(axis=1, keepdims=True))
        by_log_t = float(weight @ (by_z * z).sum(axis=1)) + log_t / _LOG_T_SPREAD**2
        by_slips = -float(weight @ (share * (1.0 / n_labels - p)).sum(axis=1))
        by_slips += (_BELIEF_IN_PEOPLE - 1.0) / (1.0 - slips)
        return value, np.array([by_log_t, by_slips])

    low, high = np.log(_BOUNDS)
    # Two hills are possible, an unsure head or people who slip: each is climbed from its own side.
    found = [
        minimize(
            negative,
            np.array([0.0, start]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(low, high), (0.0, _MOST_SLIPS)],
            options={"ftol": 1e-12, "gtol": 1e-8},
        )
        for start in (0.0, 0.2)
    ]
    log_t, slips = min(found, key=lambda each: float(each.fun)).x
    return Calibration(float(np.exp(log_t)), float(slips))


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
