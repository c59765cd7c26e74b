"""Multinomial logistic regression whose weights are drawn towards the labels' text directions.

    minimise  Σ_i CE(s·x_i Wᵀ + b, y_i)  +  ½ Σ_c λ_c ‖w_c − α t_c‖²  +  ½ κ ‖b‖²

The sums are sums, not means: the prior fades as 1/n. docs/explanation/heads.md tells why each part is there.
Sources: CLAP (arXiv 2312.12730), LP++ (2404.02285), SS-Text (2506.17500).
"""

from __future__ import annotations

import inspect
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.folds import stratified_folds
from workers.heads.head import LogisticHead, check_vectors
from workers.heads.objective import F8, basis, log_softmax, solve

# λ₀ as multiples of s²·v, v the images' mean squared distance from their centre: in this unit the useful
# range is the same for every encoder, however narrow the cone its embeddings lie in.
LAMBDA_GRID = 10.0 ** np.linspace(1.0, -5.0, 9)
FIXED_LAMBDA = 10.0**-0.5
# How far the images' spread is evened out before the prior measures distances: 0 leaves it as it is (the
# prior is the same in every direction), ½ is half-way to whitening.
EVENNESS_GRID = (0.0, 0.5)
PSEUDO_COUNTS = 4.0


class LogisticTextPriorHead:
    """An estimator with scikit-learn's conventions; labels are the indices 0 … L−1 of ``text``.

    Args:
        text: (L, d) text directions t_c (unit rows), or zeros where there is no text.
        logit_scale: the encoder's s.
        lambda0: the prior's strength λ₀ in units of s²·v (see ``LAMBDA_GRID``); None chooses it by
            cross-validation inside the labels, or takes ``FIXED_LAMBDA`` below two labels a class.
        text_scale: α. None fits it to the labels (one number, with a prior around 1); 1.0 is CLIP's own.
        evenness: p. Distances from the prior are measured in the metric C^p, C the images' covariance (shrunk
            a little to its mean): 0 is the plain Euclidean one. None cross-validates ``EVENNESS_GRID``.
        kappa: κ, the bias's penalty in 1/logits².
        pseudo_counts: how strongly a class's trust in its text is drawn to the mean of the classes.
        folds: number of cross-validation folds.
        seed: of the folds. Same data, same seed: same head.

    Fitted attributes:
        coef_ (L, d) and intercept_ (L,): logits = s·X coef_ᵀ + intercept_. classes_ (L,).
        lambda0_ (in units of s²·v), lambdas_ (L,) (absolute), text_scale_ (α), evenness_ (p).
        oof_logits_ (n, L) or None: scores of each row by the model that did not see it.
        lambda_grid_, cv_loss_, cv_se_ (g,), the latter None without cross-validation: mean log-loss of each
        λ₀ tried, and the standard error of its
        difference from the best.
    """

    def __init__(
        self,
        text: ArrayLike,
        *,
        logit_scale: float = 100.0,
        lambda0: float | None = None,
        text_scale: float | None = None,
        evenness: float | None = None,
        kappa: float = 0.1,
        pseudo_counts: float = PSEUDO_COUNTS,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.text = text
        self.logit_scale = logit_scale
        self.lambda0 = lambda0
        self.text_scale = text_scale
        self.evenness = evenness
        self.kappa = kappa
        self.pseudo_counts = pseudo_counts
        self.folds = folds
        self.seed = seed

    # -- scikit-learn's conventions, without importing it ---------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments."""
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Self:
        """Set constructor arguments by name; an unknown one is a ValueError."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"unknown parameter {name!r}; known are {', '.join(known)}")
            setattr(self, name, value)
        return self

    # -- fitting -----------------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None) -> Self:
        """Fit on (n, d) vectors and labels: (n,) indices, or (n, L) soft labels with rows summing to one.

        With no rows at all the head is the zero-shot one. The same image with different labels is fine: the
        head is drawn to what most of them say.

        Raises:
            NonFiniteVectors: naming the rows.
            ValueError: shapes, labels out of range, negative weights.
        """
        import scipy.optimize  # noqa: F401  (its own BLAS must be loaded before it can be limited)
        from threadpoolctl import threadpool_limits

        # One thread: sums come out in the same order on every machine, so that training can be repeated to the
        # same digest. It is faster too, at these sizes, than threads that wait for each other on shared cores.
        with threadpool_limits(limits=1, user_api="blas"):
            return self._fit(X, y, sample_weight)

    def _fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        T = check_vectors(self.text).astype(np.float64)
        vectors = check_vectors(X, dim=T.shape[1]).astype(np.float64)
        n, n_labels = len(vectors), len(T)
        Y = _targets(y, n, n_labels)
        v = _weights(sample_weight, n)
        s = float(self.logit_scale)

        self.classes_ = np.arange(n_labels)
        self.n_features_in_ = T.shape[1]
        self.oof_logits_: F8 | None = None
        self.cv_loss_: F8 | None = None
        self.cv_se_: F8 | None = None
        self.lambda_grid_ = LAMBDA_GRID.copy()
        if n == 0 or float(v.sum()) == 0.0:
            self.text_scale_ = 1.0 if self.text_scale is None else float(self.text_scale)
            self.lambda0_ = FIXED_LAMBDA if self.lambda0 is None else float(self.lambda0)
            self.evenness_ = 0.0
            self.lambdas_ = np.full(n_labels, self.lambda0_ * s * s)
            self.coef_ = T * self.text_scale_
            self.intercept_ = np.zeros(n_labels)
            return self

        centre = vectors.mean(axis=0)
        V, _ = basis(vectors - centre)
        Z = s * ((vectors - centre) @ V)  # (n, r)
        B = s * (vectors @ T.T)  # (n, L)
        # s²·v, measured on the labelled images; a single image has no spread and takes its own length.
        energy = np.einsum("ir,ir->r", Z, Z) / n
        unit = float(energy.sum())
        if unit <= 1e-12 * s * s:
            unit, energy = s * s, energy + s * s
        self.evenness_, self.lambda0_ = self._choose(Z, energy, B, Y, v, unit)
        stretch = even_out(energy, vectors.shape[1], self.evenness_)  # (r,)
        alpha, profile = self._prior(B, Y, v)
        self.text_scale_ = alpha
        self.lambdas_ = self.lambda0_ * unit * profile
        A, b = solve(Z * stretch, alpha * B, Y, v, self.lambdas_, self.kappa, tolerance=1e-10)
        shift = (A * stretch[:, None]).T @ V.T  # (L, d): w_c − α t_c
        self.coef_ = alpha * T + shift
        self.intercept_ = b - s * (shift @ centre)
        return self

    def _prior(self, B: F8, Y: F8, v: F8) -> tuple[float, F8]:
        """α, and each class's λ_c/λ₀ = π_c/mean(π)."""
        alpha = fit_text_scale(B, Y, v) if self.text_scale is None else float(self.text_scale)
        right = np.exp(log_softmax(alpha * B)) * Y * v[:, None]  # (n, L)
        counts = (Y * v[:, None]).sum(axis=0)
        mean = float(right.sum() / counts.sum())
        trust = (right.sum(axis=0) + self.pseudo_counts * mean) / (counts + self.pseudo_counts)
        trust = np.maximum(trust, 1e-6)
        return alpha, trust / trust.mean()

    def _choose(self, Z: F8, energy: F8, B: F8, Y: F8, v: F8, unit: float) -> tuple[float, float]:
        """Cross-validate evenness and λ₀, keep the out-of-fold logits of the chosen pair."""
        n, n_labels = Y.shape
        hard = Y.argmax(axis=1)
        evenness = EVENNESS_GRID if self.evenness is None else (float(self.evenness),)
        if n < 2 * n_labels or len(np.unique(hard)) < 2 or n < 2 * self.folds:
            return evenness[0], FIXED_LAMBDA if self.lambda0 is None else float(self.lambda0)
        grid = LAMBDA_GRID if self.lambda0 is None else np.array([float(self.lambda0)])
        fold = stratified_folds(hard, self.folds, self.seed)
        total = float(v.sum())
        lowest = np.inf
        answer = (0.0, 0.0)
        for power in evenness:
            stretched = Z * even_out(energy, self.n_features_in_, power)
            losses, logits = self._out_of_fold(stretched, B, Y, v, fold, grid * unit)
            mean = losses @ v / total
            best = int(mean.argmin())
            if mean[best] >= lowest:
                continue
            lowest = float(mean[best])
            spread = _spread_of_gap(losses, best, v)
            chosen = one_standard_error(mean, spread)
            self.lambda_grid_, self.cv_loss_, self.cv_se_ = grid[: len(mean)], mean, spread
            self.oof_logits_ = logits[chosen]
            answer = (power, float(grid[chosen]))
        return answer

    def _out_of_fold(
        self, Z: F8, B: F8, Y: F8, v: F8, fold: NDArray[np.int64], strengths: F8
    ) -> tuple[F8, F8]:
        """Losses (g, n) and logits (g, n, L) of each row, at each strength, by the model that did not see it.

        Strongest prior first, each solution the start of the next. Weaker priors than those that are already
        clearly worse are not tried, so that g may be less than the number of strengths.
        """
        half = (Z.astype(np.float32), B.astype(np.float32), Y.astype(np.float32))  # twice as fast, and enough
        parts = []
        for held in np.unique(fold):
            out = fold == held
            Zf, Bf, Yf = (each[~out] for each in half)
            alpha, profile = self._prior(B[~out], Y[~out], v[~out])
            parts.append((out, Zf, np.float32(alpha) * Bf, Yf, v[~out], alpha, profile))
        starts: list[tuple[F8, F8] | None] = [None] * len(parts)
        logits, losses = [], []
        rising = 0
        for lam in strengths:
            scores = np.empty(Y.shape)
            for i, (out, Zf, Bf, Yf, vf, alpha, profile) in enumerate(parts):
                A, b = solve(Zf, Bf, Yf, vf, lam * profile, self.kappa, start=starts[i], tolerance=1e-5)
                starts[i] = (A, b)
                scores[out] = Z[out] @ A + alpha * B[out] + b
            logits.append(scores)
            losses.append(-(Y * log_softmax(scores)).sum(axis=1))
            table = np.stack(losses)
            mean = table @ v
            best = int(mean.argmin())
            worse = mean[-1] - mean[best] > 2.0 * float(v.sum()) * _spread_of_gap(table, best, v)[-1]
            rising = rising + 1 if worse and best < len(mean) - 1 else 0
            if rising == 2:
                break
        return np.stack(losses), np.stack(logits)

    # -- answering ---------------------------------------------------------------------------------------

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logits (n, L)."""
        array = check_vectors(X, dim=self.n_features_in_).astype(np.float64)
        return float(self.logit_scale) * (array @ self.coef_.T) + self.intercept_

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, L), before calibration."""
        return np.exp(log_softmax(self.decision_function(X)))

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Label indices (n,)."""
        return self.decision_function(X).argmax(axis=1).astype(np.int64)

    def freeze(
        self, *, temperature: float = 1.0, calibrated: bool = False, details: dict[str, Any] | None = None
    ) -> LogisticHead:
        """The immutable head of this fit."""
        return LogisticHead(
            self.coef_,
            self.intercept_,
            logit_scale=float(self.logit_scale),
            temperature=temperature,
            calibrated=calibrated,
            details=details,
        )


def one_standard_error(mean: F8, spread: F8) -> int:
    """The first (strongest) entry whose mean loss is within one standard error of the least.

    Args:
        mean: (g,) mean loss, strongest prior first.
        spread: (g,) standard error of each entry's loss, or of its difference from the best.
    """
    best = int(mean.argmin())
    within = mean[: best + 1] <= mean[best] + spread[: best + 1]
    return int(np.flatnonzero(within)[0])


def _spread_of_gap(losses: F8, best: int, v: F8) -> F8:
    """Standard error (g,) of each mean loss's difference from the best one's.

    The rows share most of their luck, so it is the difference whose error counts, not each mean's own.
    """
    n = losses.shape[1]
    gap: F8 = (losses - losses[best]) * v * (n / float(v.sum()))
    return gap.std(axis=1, ddof=1) / np.sqrt(n)


def even_out(energy: F8, d: int, power: float) -> F8:
    """Factors (r,) that stretch principal directions to e^(1−power) of their energy, the total unchanged.

    Args:
        energy: (r,) mean square along each direction, of which the space has d; power: 0 … 1.
    """
    if power == 0.0:
        return np.ones(len(energy))
    floor = 0.01 * energy.sum() / d
    factor = (energy + floor) ** (-power / 2)
    return factor * np.sqrt(energy.sum() / (factor**2 @ energy))


def fit_text_scale(B: F8, Y: F8, v: F8) -> float:
    """α in [0, 4]: how far the text's logits are to be believed, the one number that fits the labels best.

    A Gaussian prior around 1, of the weight of a few labels, keeps CLIP's own scale until labels speak.
    Meaningless prompts get α near 0, and the prior then draws to zero as in plain logistic regression.

    Args:
        B: (n, L) text logits. Y: (n, L) targets. v: (n,) weights.
    """
    from scipy.optimize import minimize_scalar

    centred = B - B.max(axis=1, keepdims=True)

    def negative(alpha: float) -> float:
        logp = log_softmax(alpha * centred)
        return float(-(v @ (Y * logp).sum(axis=1)) + 2.0 * (alpha - 1.0) ** 2)

    return float(minimize_scalar(negative, bounds=(0.0, 4.0), method="bounded").x)


def _targets(y: ArrayLike, n: int, n_labels: int) -> F8:
    target = np.asarray(y)
    if target.ndim == 2:
        soft = target.astype(np.float64)
        if soft.shape != (n, n_labels) or not np.isfinite(soft).all() or (soft < 0).any():
            raise ValueError(f"soft labels must be ({n}, {n_labels}), finite and not negative")
        if not np.allclose(soft.sum(axis=1), 1.0, atol=1e-4):
            raise ValueError("each row of soft labels must sum to one")
        return soft
    if target.shape != (n,) or (n and target.dtype.kind not in "iu"):
        raise ValueError(f"labels must be ({n},) integers, got {target.dtype} {target.shape}")
    if n and (target.min() < 0 or target.max() >= n_labels):
        raise ValueError(f"labels must lie in [0, {n_labels})")
    return np.eye(n_labels)[target.astype(np.int64)]


def _weights(sample_weight: ArrayLike | None, n: int) -> F8:
    if sample_weight is None:
        return np.ones(n)
    v = np.asarray(sample_weight, np.float64)
    if v.shape != (n,) or not np.isfinite(v).all() or (v < 0).any():
        raise ValueError(f"sample_weight must be ({n},), finite and not negative")
    return v
