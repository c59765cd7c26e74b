"""Multinomial logistic regression whose prior mean is the class embeddings.

    minimise  Σ_i CE(s·x_i Wᵀ + b, y_i)  +  ½ Σ_c λ_c ‖w_c − α t_c‖²  +  ½ κ ‖b‖²

The loss is a sum, not a mean: the prior fades as 1/n. docs/explanation/heads.md explains each part.
Sources: CLAP (arXiv 2312.12730), LP++ (2404.02285), SS-Text (2506.17500).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.descent import Point, solve
from workers.heads.estimator import HeadEstimator, LabelledData
from workers.heads.folds import fold_masks
from workers.heads.head import LogisticHead
from workers.heads.objective import F8, Problem, Rows, log_softmax
from workers.heads.paths import RegularizationPath, fit_paths

# λ₀ in units of s²·v, v the images' mean squared distance from their centre: in this unit the useful range is
# the same for every encoder.
LAMBDA_GRID = 10.0 ** np.linspace(1.0, -5.0, 9)
FIXED_LAMBDA, FIXED_LAMBDA_RANGE = 0.1, 320.0
# Powers of the covariance in the prior's metric: 0 is Euclidean, ½ half-way to whitening.
WHITENING_GRID = (0.0, 0.5)
PSEUDO_COUNTS = 4.0
# A metric is tried on all labels unless it was worse on the subset by more than this many standard errors.
_MAX_METRIC_GAP = 5.0
_GRID_STEP = float(np.log(6.0))  # of log λ₀: nearer solutions are good starts
# Penalty of the bias: a standard deviation of 0.7 logits. With 0.1, class frequencies of a dozen labels
# decided it.
KAPPA = 2.0


class LogisticTextPriorHead(HeadEstimator):
    """An estimator with scikit-learn's conventions; labels are the row indices of ``class_embeddings``.

    Args:
        class_embeddings: (L, d) t_c, unit rows, or zeros without text.
        logit_scale: the encoder's s.
        lambda0: the prior's strength λ₀ in units of s²·v (see ``LAMBDA_GRID``). None cross-validates it;
            below two labels a class it is then ``FIXED_LAMBDA``, up to ``FIXED_LAMBDA_RANGE`` times that
            where the prompts predict the labels.
        text_scale: α. None fits it to the labels, with a prior around 1, the scale of CLIP.
        whitening_power: p. The prior measures distances in the metric C^p, C the images' covariance (shrunk a
            little to its mean); 0 is Euclidean. None cross-validates ``WHITENING_GRID``.
        kappa: κ, the bias's penalty in 1/logits².
        pseudo_counts: shrinkage of each class's trust in its text to the mean of the classes.
        folds: number of cross-validation folds.
        seed: of the folds. Same data and seed give the same head.

    Fitted attributes:
        coef_ (L, d) and intercept_ (L,): logits = s·X coef_ᵀ + intercept_. classes_ (L,).
        lambda0_ (in units of s²·v), lambdas_ (L,) (absolute), text_scale_ (α), whitening_power_ (p).
        oof_logits_ (n, L): out-of-fold logits of each row, or None.
        fold_heads_: the model of each fold at the chosen strength; empty without cross-validation.
        first_fits_: the first strength tried and the fold models there, or None.
        lambda_grid_, cv_loss_, cv_se_ (g,): each λ₀ tried, its mean log-loss, and the standard error of its
            difference from the best; the last two are None without cross-validation.
    """

    head_class = LogisticHead

    def __init__(
        self,
        class_embeddings: ArrayLike,
        *,
        logit_scale: float = 100.0,
        lambda0: float | None = None,
        text_scale: float | None = None,
        whitening_power: float | None = None,
        kappa: float = KAPPA,
        pseudo_counts: float = PSEUDO_COUNTS,
        folds: int = 5,
        seed: int = 0,
    ) -> None:
        self.class_embeddings = class_embeddings
        self.logit_scale = logit_scale
        self.lambda0 = lambda0
        self.text_scale = text_scale
        self.whitening_power = whitening_power
        self.kappa = kappa
        self.pseudo_counts = pseudo_counts
        self.folds = folds
        self.seed = seed

    # -- fitting -----------------------------------------------------------------------------------------

    def _choose_parameters(self, T: F8, data: LabelledData) -> None:
        self.cv_loss_: F8 | None = None
        self.cv_se_: F8 | None = None
        self.lambda_grid_ = LAMBDA_GRID.copy()
        self.fold_heads_: list[FoldHead] = []
        self.first_fits_: tuple[float, list[FoldHead]] | None = None
        powers = WHITENING_GRID if self.whitening_power is None else (float(self.whitening_power),)
        self.whitening_power_ = powers[0]
        self.lambda0_ = FIXED_LAMBDA if self.lambda0 is None else float(self.lambda0)
        if data.empty:
            self.whitening_power_ = 0.0
            return
        if data.fold is None:
            if self.lambda0 is None:
                self.lambda0_ = self._lambda_by_rule(data.scale * (data.vectors @ T.T), data.Y, data.v)
            return
        grid = LAMBDA_GRID if self.lambda0 is None else np.array([float(self.lambda0)])
        self._search(T, data, powers, grid)

    def _cross_validate(self, T: F8, data: LabelledData) -> None:
        powers, grid = self._shortlist
        self._search(T, data, powers, grid)
        while self.lambda0 is None and self.lambda0_ == grid[0] < LAMBDA_GRID[0]:
            # The strongest of the shortlist won: try stronger ones, too.
            first = int(np.flatnonzero(grid[0] == LAMBDA_GRID)[0])
            grid = LAMBDA_GRID[max(0, first - 3) : first + 2]
            self._search(T, data, powers, grid)

    def _search(self, T: F8, data: LabelledData, powers: tuple[float, ...], grid: F8) -> None:
        """Cross-validate all metrics and strengths, keep the best, and set the shortlist for more labels."""
        B = data.scale * (data.vectors @ T.T)  # (n, L)
        priors = self._fold_priors(B, data)
        paths = [RegularizationPath(self._metric(data, power), priors) for power in powers]
        starts = None
        if self.first_fits_ is not None and len(self.first_fits_[1]) == len(priors):
            strength, heads = self.first_fits_
            if abs(np.log(strength / grid[0])) < _GRID_STEP:
                starts = [
                    head.to_point(data, alpha, T) for head, (alpha, _) in zip(heads, priors, strict=True)
                ]
        fit_paths(data, B, paths, grid * data.images.unit, self.kappa, starts)
        losses = [np.stack(path.losses) for path in paths]  # (g, n) of each metric
        means = [loss @ data.v / float(data.v.sum()) for loss in losses]
        winner = int(np.argmin([mean.min() for mean in means]))  # the first of equal metrics
        best = [int(mean.argmin()) for mean in means]
        errors = [_gap_errors(loss, b, data.v) for loss, b in zip(losses, best, strict=True)]
        chosen = [one_standard_error(mean, error) for mean, error in zip(means, errors, strict=True)]
        self.lambda_grid_ = grid[: len(means[winner])]
        self.cv_loss_, self.cv_se_ = means[winner], errors[winner]
        self.whitening_power_, self.lambda0_ = powers[winner], float(grid[chosen[winner]])
        self.oof_logits_ = paths[winner].logits[chosen[winner]]
        self.fold_heads_ = self._fold_heads(data, paths[winner].points[chosen[winner]], priors, T)
        self.first_fits_ = float(grid[0]), self._fold_heads(data, paths[winner].points[0], priors, T)

        best_losses = np.stack([loss[b] for loss, b in zip(losses, best, strict=True)])
        best_means = best_losses @ data.v / float(data.v.sum())
        gaps, gap_errors = best_means - best_means[winner], _gap_errors(best_losses, winner, data.v)
        kept = np.flatnonzero(gaps <= _MAX_METRIC_GAP * gap_errors)
        first = max(0, min(chosen[i] for i in kept) - 2)
        last = max(best[i] for i in kept) + 1
        self._shortlist = tuple(powers[i] for i in kept), grid[first : last + 1]

    def _refit(self, T: F8, data: LabelledData) -> None:
        n_labels = data.Y.shape[1]
        if data.empty:
            self.text_scale_ = 1.0 if self.text_scale is None else float(self.text_scale)
            self.lambdas_ = np.full(n_labels, self.lambda0_ * data.scale**2)
            self.coef_, self.intercept_ = T * self.text_scale_, np.zeros(n_labels)
            return
        B = data.scale * (data.vectors @ T.T)  # (n, L)
        images = data.images
        metric = self._metric(data, self.whitening_power_)
        self.text_scale_, profile = self._prior(B, data.Y, data.v)
        self.lambdas_ = self.lambda0_ * images.unit * profile
        problems = [Problem(data.v, self.text_scale_, self.lambdas_[:, None] / metric, self.kappa)]
        # The mean of the fold models is a start near the minimum.
        starts = None
        if self.fold_heads_:
            coef = np.mean([head.coef for head in self.fold_heads_], axis=0)
            intercept = np.mean([head.intercept for head in self.fold_heads_], axis=0)
            starts = [FoldHead(coef, intercept).to_point(data, self.text_scale_, T)]
        rough = solve(
            Rows.of(images.Z, B, data.Y, np.float32), problems, starts=starts, tolerance=1e-6, max_iter=100
        )
        point = solve(Rows.of(images.Z, B, data.Y), problems, starts=rough, tolerance=1e-9)[0]
        head = FoldHead.from_point(data, point, self.text_scale_, T)
        self.coef_, self.intercept_ = head.coef, head.intercept

    @staticmethod
    def _fold_heads(
        data: LabelledData, points: list[Point], priors: list[tuple[float, F8]], T: F8
    ) -> list[FoldHead]:
        return [
            FoldHead.from_point(data, point, alpha, T)
            for point, (alpha, _) in zip(points, priors, strict=True)
        ]

    def _metric(self, data: LabelledData, power: float) -> F8:
        """Return (r,) the divisors of the prior's strength along each axis."""
        return whitening_factors(data.images.energy, data.vectors.shape[1], power) ** 2

    def _prior(self, B: F8, Y: F8, v: F8) -> tuple[float, F8]:
        """Return α and λ_c/λ₀ = π_c/mean(π) (L,)."""
        alpha = fit_text_scale(B, Y, v) if self.text_scale is None else float(self.text_scale)
        correct = np.exp(log_softmax(alpha * B)) * Y * v[:, None]  # (n, L)
        counts = (Y * v[:, None]).sum(axis=0)
        mean = float(correct.sum() / counts.sum())
        trust = (correct.sum(axis=0) + self.pseudo_counts * mean) / (counts + self.pseudo_counts)
        trust = np.maximum(trust, 1e-6)
        return alpha, trust / trust.mean()

    def _fold_priors(self, B: F8, data: LabelledData) -> list[tuple[float, F8]]:
        """Return the prior of each fold, from the rows outside it."""
        assert data.fold is not None
        return [self._prior(B[~out], data.Y[~out], data.v[~out]) for out in fold_masks(data.fold)]

    def _lambda_by_rule(self, B: F8, Y: F8, v: F8) -> float:
        """Return λ₀ for labels too few to cross-validate: stronger where the prompts predict them."""
        n_labels = Y.shape[1]
        alpha = fit_text_scale(B, Y, v) if self.text_scale is None else float(self.text_scale)
        correct = float(v @ (np.exp(log_softmax(alpha * B)) * Y).sum(axis=1)) / float(v.sum())
        skill = max(0.0, correct - 1.0 / n_labels) / max(1.0 - 1.0 / n_labels, 1e-12)
        return FIXED_LAMBDA * FIXED_LAMBDA_RANGE**skill


@dataclass(frozen=True)
class FoldHead:
    """The model of one fold, in no basis: logits = s·x·coefᵀ + intercept. It gives starts for other fits."""

    coef: F8  # (L, d)
    intercept: F8  # (L,)

    @classmethod
    def from_point(cls, data: LabelledData, point: Point, alpha: float, T: F8) -> FoldHead:
        """Return the model of a solution in the basis of the images."""
        offset = point[0].astype(np.float64) @ data.images.V.T  # (L, d): w_c − α t_c
        return cls(alpha * T + offset, point[1] - data.scale * (offset @ data.images.centre))

    def to_point(self, data: LabelledData, alpha: float, T: F8) -> Point:
        """Return the model in the basis of these images, its offset taken from α T."""
        offset = self.coef - alpha * T
        return offset @ data.images.V, self.intercept + data.scale * (offset @ data.images.centre)


def one_standard_error(mean: F8, error: F8) -> int:
    """Return the first (strongest) entry whose mean loss is within one standard error of the lowest.

    Args:
        mean: (g,) mean loss, strongest prior first.
        error: (g,) standard error of each mean, or of its difference from the lowest.
    """
    best = int(mean.argmin())
    within = mean[: best + 1] <= mean[best] + error[: best + 1]
    return int(np.flatnonzero(within)[0])


def _gap_errors(losses: F8, best: int, v: F8) -> F8:
    """Return the standard error (g,) of the paired difference of each mean loss (g, n) from the best one."""
    n = losses.shape[1]
    gap: F8 = (losses - losses[best]) * v * (n / float(v.sum()))
    return gap.std(axis=1, ddof=1) / np.sqrt(n)


def whitening_factors(energy: F8, d: int, power: float) -> F8:
    """Return factors (r,) that scale principal axes to energy^(1−power), with the same total.

    Args:
        energy: (r,) mean square along each axis of a space of d dimensions. power: 0 … 1.
    """
    if power == 0.0:
        return np.ones(len(energy))
    floor = 0.01 * energy.sum() / d
    factor = (energy + floor) ** (-power / 2)
    return factor * np.sqrt(energy.sum() / (factor**2 @ energy))


def fit_text_scale(B: F8, Y: F8, v: F8) -> float:
    """Return α in [0, 4], the factor on the text logits that fits the labels best.

    A Gaussian prior around 1, worth a few labels, keeps CLIP's scale when labels are few. Meaningless prompts
    get α near 0: the head is then plain logistic regression.

    Args:
        B: (n, L) text logits. Y: (n, L) targets. v: (n,) weights.
    """
    centred = B - B.max(axis=1, keepdims=True)
    target = float(v @ (centred * Y).sum(axis=1))
    low, high, alpha = 0.0, 4.0, 1.0
    # Newton's method on a convex function, kept inside the bracket [low, high].
    for _ in range(50):
        p = np.exp(log_softmax(alpha * centred))
        mean = (p * centred).sum(axis=1)
        slope = float(v @ mean) - target + 4.0 * (alpha - 1.0)
        curvature = float(v @ ((p * centred * centred).sum(axis=1) - mean * mean)) + 4.0
        low, high = (low, alpha) if slope > 0 else (alpha, high)
        step = alpha - slope / curvature
        if not low < step < high:
            step = 0.5 * (low + high)
        if abs(step - alpha) < 1e-7:
            return step
        alpha = step
    return alpha
