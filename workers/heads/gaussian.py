"""Gaussian discriminant added to the text logits: class means and one shared covariance, in closed form.

    logits = α · s · x·t_c  +  γ · (x · Σ⁻¹μ_c − ½ μ_c · Σ⁻¹μ_c)

Source: Wang et al., "A hard-to-beat baseline for training-free CLIP-based adaptation" (ICLR 2024,
arXiv 2402.04087): equal class priors, the covariance inverted by the empirical Bayes ridge estimator of
Kubokawa and Srivastava (2008). The paper chooses γ on a validation set; here cross-validation chooses it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.calibration import fit_calibration
from workers.heads.estimator import HeadEstimator, LabelledData
from workers.heads.folds import fold_masks
from workers.heads.head import GaussianHead
from workers.heads.logistic import fit_text_scale
from workers.heads.objective import F8

GAMMA_GRID = 10.0 ** np.linspace(-2.0, 1.0, 7)
FIXED_GAMMA = 0.1


class GaussianDiscriminant(HeadEstimator):
    """An estimator with scikit-learn's conventions.

    Args:
        class_embeddings: (L, d), or zeros without text. logit_scale: the encoder's s.
        gamma: γ; None chooses it from ``GAMMA_GRID`` by cross-validated log-loss, calibrated for each value,
            or takes ``FIXED_GAMMA`` below two labels a class.
        folds, seed: of cross-validation.

    A class without labels gets the mean of all images: only its text tells it apart.

    Fitted attributes, besides those of `HeadEstimator`: gamma_, text_scale_ (α).
    """

    head_class = GaussianHead

    def __init__(
        self,
        class_embeddings: ArrayLike,
        *,
        logit_scale: float = 100.0,
        gamma: float | None = None,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.class_embeddings = class_embeddings
        self.logit_scale = logit_scale
        self.gamma = gamma
        self.folds = folds
        self.seed = seed

    def _choose_parameters(self, T: F8, data: LabelledData) -> None:
        self.gamma_ = FIXED_GAMMA if self.gamma is None else float(self.gamma)

    def _cross_validate(self, T: F8, data: LabelledData) -> None:
        """Choose γ on all labels: the best value grows with their number, because Σ⁻¹ is that of a sum.

        Only the calibration of each γ, which is slow, uses the subset.
        """
        text_logits, image_logits = self._out_of_fold(T, data)
        rows = data.subset_rows
        Y, v = data.Y[rows], data.v[rows]
        lowest = np.inf
        for gamma in GAMMA_GRID if self.gamma is None else (float(self.gamma),):
            logits = text_logits[rows] + gamma * image_logits[rows]
            log_proba = fit_calibration(logits, Y, sample_weight=v).observed_log_proba(logits)
            loss = -float(v @ (Y * log_proba).sum(axis=1))
            if loss < lowest:
                lowest, self.gamma_ = loss, float(gamma)
        self.oof_logits_ = text_logits + self.gamma_ * image_logits

    def _refit(self, T: F8, data: LabelledData) -> None:
        if data.empty:
            self.text_scale_ = 1.0
            self.coef_, self.intercept_ = T.copy(), np.zeros(len(T))
            return
        self.text_scale_ = fit_text_scale(data.scale * (data.vectors @ T.T), data.Y, data.v)
        W, b = discriminant(data.vectors, data.Y, data.v)
        self.coef_ = self.text_scale_ * T + (self.gamma_ / data.scale) * W
        self.intercept_ = self.gamma_ * b

    def _out_of_fold(self, T: F8, data: LabelledData) -> tuple[F8, F8]:
        """Return out-of-fold logits (n, L) of the text and of the discriminant."""
        X, Y, v = data.vectors, data.Y, data.v
        assert data.fold is not None
        B = data.scale * (X @ T.T)
        text_logits, image_logits = np.empty(Y.shape), np.empty(Y.shape)
        for out in fold_masks(data.fold):
            W, b = discriminant(X[~out], Y[~out], v[~out])
            image_logits[out] = X[out] @ W.T + b
            text_logits[out] = fit_text_scale(B[~out], Y[~out], v[~out]) * B[out]
        return text_logits, image_logits


def discriminant(X: F8, Y: F8, v: F8) -> tuple[F8, F8]:
    """Return weights (L, d) and bias (L,) of the shared-covariance discriminant with equal priors.

    The precision is d · ((N − 1) Σ + tr(Σ) I)⁻¹ with N the sum of the weights and Σ the covariance within
    classes; it exists for any number of images.

    Args:
        X: (n, d). Y: (n, L) targets whose rows sum to one. v: (n,) weights ≥ 0, not all zero.
    """
    from scipy.linalg import solve

    d = X.shape[1]
    R = Y * v[:, None]  # (n, L)
    count = R.sum(axis=0)
    total = float(count.sum())
    overall_mean = (R.sum(axis=1) @ X) / total
    M = np.where(count[:, None] > 0, (R.T @ X) / np.maximum(count, 1e-12)[:, None], overall_mean)  # (L, d)
    # Σ_i Σ_c r_ic (x_i − μ_c)(x_i − μ_c)ᵀ = Σ r_i x_i x_iᵀ − Σ n_c μ_c μ_cᵀ, without an (n, L, d) array
    centred, means = X - overall_mean, M - overall_mean
    scatter = (centred * R.sum(axis=1)[:, None]).T @ centred - (means * count[:, None]).T @ means
    covariance = scatter / total
    trace = max(float(np.trace(covariance)), 1e-12 * max(float((X * X).sum()) / len(X), 1e-12))
    inverse_precision = (max(total - 1.0, 0.0) * covariance + trace * np.eye(d)) / d
    W = solve(inverse_precision, means.T, assume_a="pos").T  # (L, d), of the centred images
    b = -0.5 * (W * means).sum(axis=1) - W @ overall_mean
    return W, b
