"""Multinomial logistic regression whose weights are drawn towards the labels' text directions.

    minimise  Σ_i CE(s·x_i Wᵀ + b, y_i)  +  ½ Σ_c λ_c ‖w_c − α t_c‖²  +  ½ κ ‖b‖²

The sums are sums, not means: the prior fades as 1/n. docs/explanation/heads.md tells why each part is there.
Sources: CLAP (arXiv 2312.12730), LP++ (2404.02285), SS-Text (2506.17500).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.estimator import HeadEstimator
from workers.heads.head import LogisticHead
from workers.heads.objective import F8, basis, log_softmax, solve

# λ₀ as multiples of s²·v, v the images' mean squared distance from their centre: in this unit the useful
# range is the same for every encoder, however narrow the cone its embeddings lie in.
LAMBDA_GRID = 10.0 ** np.linspace(1.0, -5.0, 9)
FIXED_LAMBDA, FIXED_LAMBDA_RANGE = 10.0**-0.5, 10.0
# How far the images' spread is evened out before the prior measures distances: 0 leaves it as it is (the
# prior is the same in every direction), ½ is half-way to whitening.
EVENNESS_GRID = (0.0, 0.5)
PSEUDO_COUNTS = 4.0
# The bias's prior: a standard deviation of 0.7 logits. Nearly free (0.1) it follows the luck of a dozen labels.
KAPPA = 2.0


class LogisticTextPriorHead(HeadEstimator):
    """An estimator with scikit-learn's conventions; labels are the indices 0 … L−1 of ``text``.

    Args:
        text: (L, d) text directions t_c (unit rows), or zeros where there is no text.
        logit_scale: the encoder's s.
        lambda0: the prior's strength λ₀ in units of s²·v (see ``LAMBDA_GRID``); None chooses it by
            cross-validation inside the labels; below two labels a class it is
            ``FIXED_LAMBDA``, up to ten times that where the text is right on the labels there are.
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

    frozen = LogisticHead

    def __init__(
        self,
        text: ArrayLike,
        *,
        logit_scale: float = 100.0,
        lambda0: float | None = None,
        text_scale: float | None = None,
        evenness: float | None = None,
        kappa: float = KAPPA,
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

    # -- fitting -----------------------------------------------------------------------------------------

    def _fit(self, text: F8, vectors: F8, Y: F8, v: F8) -> None:
        n, n_labels = Y.shape
        s = float(self.logit_scale)
        self.cv_loss_: F8 | None = None
        self.cv_se_: F8 | None = None
        self.lambda_grid_ = LAMBDA_GRID.copy()
        if n == 0 or float(v.sum()) == 0.0:
            self.text_scale_ = 1.0 if self.text_scale is None else float(self.text_scale)
            self.lambda0_ = FIXED_LAMBDA if self.lambda0 is None else float(self.lambda0)
            self.evenness_ = 0.0
            self.lambdas_ = np.full(n_labels, self.lambda0_ * s * s)
            self.coef_ = text * self.text_scale_
            self.intercept_ = np.zeros(n_labels)
            return

        centre = vectors.mean(axis=0)
        V, _ = basis(vectors - centre)
        Z = s * ((vectors - centre) @ V)  # (n, r)
        B = s * (vectors @ text.T)  # (n, L)
        # s²·v, measured on the labelled images; a single image has no spread and takes its own length.
        energy = np.einsum("ir,ir->r", Z, Z) / n
        unit = float(energy.sum())
        if unit <= 1e-12 * s * s:
            unit, energy = s * s, energy + s * s
        self.evenness_, self.lambda0_ = self._choose(Z, energy, B, Y, v, unit, self._folds(vectors, Y))
        stretch = even_out(energy, vectors.shape[1], self.evenness_)  # (r,)
        alpha, profile = self._prior(B, Y, v)
        self.text_scale_ = alpha
        self.lambdas_ = self.lambda0_ * unit * profile
        A, b = solve(Z * stretch, alpha * B, Y, v, self.lambdas_, self.kappa, tolerance=1e-10)
        shift = (A * stretch[:, None]).T @ V.T  # (L, d): w_c − α t_c
        self.coef_ = alpha * text + shift
        self.intercept_ = b - s * (shift @ centre)

    def _prior(self, B: F8, Y: F8, v: F8) -> tuple[float, F8]:
        """α, and each class's λ_c/λ₀ = π_c/mean(π)."""
        alpha = fit_text_scale(B, Y, v) if self.text_scale is None else float(self.text_scale)
        right = np.exp(log_softmax(alpha * B)) * Y * v[:, None]  # (n, L)
        counts = (Y * v[:, None]).sum(axis=0)
        mean = float(right.sum() / counts.sum())
        trust = (right.sum(axis=0) + self.pseudo_counts * mean) / (counts + self.pseudo_counts)
        trust = np.maximum(trust, 1e-6)
        return alpha, trust / trust.mean()

    def _choose(
        self, Z: F8, energy: F8, B: F8, Y: F8, v: F8, unit: float, fold: NDArray[np.int64] | None
    ) -> tuple[float, float]:
        """Cross-validate evenness and λ₀, keep the out-of-fold logits of the chosen pair; without folds, by rule."""
        evenness = EVENNESS_GRID if self.evenness is None else (float(self.evenness),)
        if fold is None:
            return evenness[0], self._by_rule(B, Y, v) if self.lambda0 is None else float(self.lambda0)
        grid = LAMBDA_GRID if self.lambda0 is None else np.array([float(self.lambda0)])
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

    def _by_rule(self, B: F8, Y: F8, v: F8) -> float:
        """λ₀ while labels are too few to compare: ten times as strong where the text is right as where it guesses."""
        n_labels = Y.shape[1]
        alpha = fit_text_scale(B, Y, v) if self.text_scale is None else float(self.text_scale)
        right = float(v @ (np.exp(log_softmax(alpha * B)) * Y).sum(axis=1)) / float(v.sum())
        skill = max(0.0, right - 1.0 / n_labels) / max(1.0 - 1.0 / n_labels, 1e-12)
        return FIXED_LAMBDA * FIXED_LAMBDA_RANGE**skill

    def _out_of_fold(
        self, Z: F8, B: F8, Y: F8, v: F8, fold: NDArray[np.int64], strengths: F8
    ) -> tuple[F8, F8]:
        """Losses (g, n) and logits (g, n, L) of each row, at each strength, by the model that did not see it.

        Strongest prior first, each solution the start of the next. After two in a row that are not clearly ahead of the last
        that was, the rest is
        not tried, so that g may be less than the number of strengths.
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
        reference, idle = 0, 0
        for at, lam in enumerate(strengths):
            scores = np.empty(Y.shape)
            for i, (out, Zf, Bf, Yf, vf, alpha, profile) in enumerate(parts):
                A, b = solve(
                    Zf, Bf, Yf, vf, lam * profile, self.kappa, start=starts[i], tolerance=1e-5, max_iter=60
                )
                starts[i] = (A, b)
                scores[out] = Z[out] @ A + alpha * B[out] + b
            logits.append(scores)
            losses.append(-(Y * log_softmax(scores)).sum(axis=1))
            if at == 0:
                continue
            # One that is not ahead by a standard error would not be chosen: the rule then takes a stronger one.
            gap = (losses[at] - losses[reference]) * v * (len(v) / float(v.sum()))
            if gap.mean() < -gap.std(ddof=1) / np.sqrt(len(v)):
                reference, idle = at, 0
            else:
                idle += 1
            if idle == 2:
                break
        return np.stack(losses), np.stack(logits)


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
