"""Gaussian discriminant on top of the prompts: class means and one covariance, in closed form.

    logits = α · s · x·t_c  +  γ · (x · Σ⁻¹μ_c − ½ μ_c · Σ⁻¹μ_c)

Source: Wang et al., "A hard-to-beat baseline for training-free CLIP-based adaptation" (ICLR 2024, arXiv 2402.04087):
equal class priors, the covariance inverted by the empirical Bayes ridge estimator of Kubokawa and Srivastava (2008).
There γ is chosen on a validation set; here by cross-validation inside the labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.calibration import fit_calibration
from workers.heads.estimator import HeadEstimator, Labelled
from workers.heads.folds import held_out
from workers.heads.head import GaussianHead
from workers.heads.logistic import fit_text_scale
from workers.heads.objective import F8

GAMMA_GRID = 10.0 ** np.linspace(-2.0, 1.0, 7)
FIXED_GAMMA = 0.1


class GaussianDiscriminant(HeadEstimator):
    """An estimator with scikit-learn's conventions.

    Args:
        text: (L, d) text directions, or zeros where there is no text. logit_scale: the encoder's s.
        gamma: γ; None chooses it from ``GAMMA_GRID`` by cross-validated log-loss, each value at the calibration that
            suits it, or takes ``FIXED_GAMMA`` below two labels a class.
        folds, seed: of cross-validation.

    A class without labels has the mean of all as its own: only its text speaks for it.

    Fitted attributes, beside those of `HeadEstimator`: gamma_, text_scale_ (α).
    """

    frozen = GaussianHead

    def __init__(
        self,
        text: ArrayLike,
        *,
        logit_scale: float = 100.0,
        gamma: float | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.text = text
        self.logit_scale = logit_scale
        self.gamma = gamma
        self.folds = folds
        self.seed = seed

    def _choose(self, text: F8, data: Labelled) -> None:
        self.gamma_ = FIXED_GAMMA if self.gamma is None else float(self.gamma)

    def _cross_validate(self, text: F8, data: Labelled) -> None:
        """Choose γ here, not before: it grows with the number of images, since Σ⁻¹ is taken of a sum over them.

        What is costly, every γ's own calibration, looks at a part of the labels.
        """
        by_text, by_images = self._out_of_fold(text, data)
        at = data.few_at
        Y, v = data.Y[at], data.v[at]
        lowest = np.inf
        for gamma in GAMMA_GRID if self.gamma is None else (float(self.gamma),):
            logits = by_text[at] + gamma * by_images[at]
            log_proba = fit_calibration(logits, Y, sample_weight=v).observed_log_proba(logits)
            loss = -float(v @ (Y * log_proba).sum(axis=1))
            if loss < lowest:
                lowest, self.gamma_ = loss, float(gamma)
        self.oof_logits_ = by_text + self.gamma_ * by_images

    def _complete(self, text: F8, data: Labelled) -> None:
        if data.empty:
            self.text_scale_ = 1.0
            self.coef_, self.intercept_ = text.copy(), np.zeros(len(text))
            return
        self.text_scale_ = fit_text_scale(data.scale * (data.vectors @ text.T), data.Y, data.v)
        W, b = discriminant(data.vectors, data.Y, data.v)
        self.coef_ = self.text_scale_ * text + (self.gamma_ / data.scale) * W
        self.intercept_ = self.gamma_ * b

    def _out_of_fold(self, text: F8, data: Labelled) -> tuple[F8, F8]:
        """Logits (n, L) by the text and by the images, of each row by what the other folds say."""
        X, Y, v = data.vectors, data.Y, data.v
        assert data.fold is not None
        B = data.scale * (X @ text.T)
        by_text, by_images = np.empty(Y.shape), np.empty(Y.shape)
        for out in held_out(data.fold):
            W, b = discriminant(X[~out], Y[~out], v[~out])
            by_images[out] = X[out] @ W.T + b
            by_text[out] = fit_text_scale(B[~out], Y[~out], v[~out]) * B[out]
        return by_text, by_images


def discriminant(X: F8, Y: F8, v: F8) -> tuple[F8, F8]:
    """Weights (L, d) and bias (L,) of the shared-covariance discriminant with equal priors.

    Args:
        X: (n, d). Y: (n, L) targets whose rows sum to one. v: (n,) weights ≥ 0, not all zero.

    The precision is d · ((N − 1) Σ + tr(Σ) I)⁻¹, N the sum of the weights and Σ the covariance within classes: it
    exists whatever the number of images.
    """
    from scipy.linalg import solve

    d = X.shape[1]
    R = Y * v[:, None]  # (n, L)
    count = R.sum(axis=0)
    total = float(count.sum())
    everything = (R.sum(axis=1) @ X) / total
    M = np.where(count[:, None] > 0, (R.T @ X) / np.maximum(count, 1e-12)[:, None], everything)  # (L, d)
    # Σ_i Σ_c r_ic (x_i − μ_c)(x_i − μ_c)ᵀ, without an (n, L, d) array: Σ r_i x_i x_iᵀ − Σ n_c μ_c μ_cᵀ
    centred, means = X - everything, M - everything
    scatter = (centred * R.sum(axis=1)[:, None]).T @ centred - (means * count[:, None]).T @ means
    covariance = scatter / total
    trace = max(float(np.trace(covariance)), 1e-12 * max(float((X * X).sum()) / len(X), 1e-12))
    precision_of = (max(total - 1.0, 0.0) * covariance + trace * np.eye(d)) / d
    W = solve(precision_of, means.T, assume_a="pos").T  # (L, d), of the centred images
    b = -0.5 * (W * means).sum(axis=1) - W @ everything
    return W, b
