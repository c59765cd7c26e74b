"""Calibration of confidences: one temperature, the label noise, and the calibration error.

Sources: Guo et al., "On calibration of modern neural networks" (arXiv 1706.04599); symmetric label noise as
in Patrini et al., "Making deep neural networks robust to label noise" (arXiv 1609.03683).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.objective import F8, log_softmax
from workers.heads.targets import check_targets, check_weights

# Standard deviation of the prior on log T. It keeps T above 0 where a few labels are perfectly separated.
_LOG_T_STD = 1.0
_T_BOUNDS = (0.02, 50.0)
# The prior on label noise is worth this many correct labels, so a few unexpected labels raise T, not the
# noise.
_LABEL_NOISE_PRIOR = 10.0
_MAX_LABEL_NOISE = 0.5


@dataclass(frozen=True)
class Calibration:
    """Temperature and label noise of a head with logits z.

    softmax(z / temperature) are the probabilities p of the true label. Reviewers give label k with
    probability (1 − label_noise) · p_k + label_noise / L: a share ``label_noise`` of their labels is
    uniformly random.
    """

    temperature: float = 1.0
    label_noise: float = 0.0

    def observed_log_proba(self, logits: ArrayLike) -> F8:
        """Return log-probabilities (n, L) of the labels reviewers give, from logits (n, L)."""
        logp = log_softmax(np.asarray(logits, np.float64) / self.temperature)
        if self.label_noise == 0.0:
            return logp
        return np.logaddexp(np.log1p(-self.label_noise) + logp, np.log(self.label_noise / logp.shape[1]))


def fit_calibration(
    logits: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> Calibration:
    """Return the temperature and label noise that maximise the likelihood of the labels.

    Both are fitted together: a temperature alone would explain wrong labels by an unsure head. Wrong labels
    where the head is unsure raise the temperature, wrong labels everywhere raise the label noise.

    Args:
        logits: (n, L) out-of-fold logits.
        y: (n,) label indices, or (n, L) soft labels.
        sample_weight: (n,) ≥ 0.

    Returns:
        T in [0.02, 50], label_noise in [0, 0.5]; 1 and 0 for no rows or one label.
    """
    from scipy.optimize import minimize

    scores = np.asarray(logits, np.float64)
    if scores.ndim != 2:
        raise ValueError(f"logits must be (n, L), got {scores.shape}")
    n, n_labels = scores.shape
    soft, weight = check_targets(y, n, n_labels), check_weights(sample_weight, n)
    if n == 0 or n_labels < 2:
        return Calibration()
    centred = scores - scores.max(axis=1, keepdims=True)

    def objective(theta: F8) -> tuple[float, F8]:
        """Return the negative log-posterior and its gradient."""
        log_t, noise = theta
        z = centred / np.exp(log_t)
        p = np.exp(log_softmax(z))
        observed = (1.0 - noise) * p + noise / n_labels
        ratio = soft / np.maximum(observed, 1e-300)
        value = -float(weight @ (soft * np.log(np.maximum(observed, 1e-300))).sum(axis=1))
        value += 0.5 * (log_t / _LOG_T_STD) ** 2 - (_LABEL_NOISE_PRIOR - 1.0) * np.log1p(-noise)
        grad_p = (1.0 - noise) * ratio  # of the log-likelihood
        grad_z = p * (grad_p - (grad_p * p).sum(axis=1, keepdims=True))
        grad_log_t = float(weight @ (grad_z * z).sum(axis=1)) + log_t / _LOG_T_STD**2
        grad_noise = -float(weight @ (ratio * (1.0 / n_labels - p)).sum(axis=1))
        grad_noise += (_LABEL_NOISE_PRIOR - 1.0) / (1.0 - noise)
        return value, np.array([grad_log_t, grad_noise])

    low, high = np.log(_T_BOUNDS)
    # There can be two local minima (an unsure head, or noisy labels): start near both.
    fits = [
        minimize(
            objective,
            np.array([0.0, start]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(low, high), (0.0, _MAX_LABEL_NOISE)],
            options={"ftol": 1e-12, "gtol": 1e-8},
        )
        for start in (0.0, 0.2)
    ]
    log_t, noise = min(fits, key=lambda fit: float(fit.fun)).x
    return Calibration(float(np.exp(log_t)), float(noise))


@dataclass(frozen=True)
class Reliability:
    """Points of a reliability diagram: bins of equal width over [0, 1]; empty bins hold NaN."""

    lower: NDArray[np.float64]  # (bins,)
    upper: NDArray[np.float64]  # (bins,)
    count: NDArray[Any]  # (bins,) rows, or the sum of their weights
    confidence: NDArray[np.float64]  # (bins,) mean confidence
    frequency: NDArray[np.float64]  # (bins,) share of correct rows

    @property
    def error(self) -> float:
        """Return the expected calibration error Σ count/n · |frequency − confidence|; 0 without rows."""
        filled = self.count > 0
        if not filled.any():
            return 0.0
        gap = np.abs(self.frequency[filled] - self.confidence[filled])
        return float((self.count[filled] * gap).sum() / self.count.sum())


def reliability(
    probs: ArrayLike, y: ArrayLike, *, bins: int = 15, sample_weight: ArrayLike | None = None
) -> Reliability:
    """Compare confidence with frequency. probs (n, L), y (n,) label indices, sample_weight (n,) ≥ 0."""
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
        correct = p.argmax(axis=1) == truth
        bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
        row_weight = np.ones(len(p)) if weight is None else weight
        count = np.bincount(bin_of, weights=weight, minlength=bins)
        sums[0] = np.bincount(bin_of, weights=row_weight * confidence, minlength=bins)
        sums[1] = np.bincount(bin_of, weights=row_weight * correct, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / count
    return Reliability(edges[:-1], edges[1:], count, means[0], means[1])


def expected_calibration_error(
    probs: ArrayLike, y: ArrayLike, bins: int = 15, *, sample_weight: ArrayLike | None = None
) -> float:
    """Return the mean gap between confidence and frequency over equal-width bins, weighted by their rows."""
    return reliability(probs, y, bins=bins, sample_weight=sample_weight).error
