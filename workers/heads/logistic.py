"""Multinomial logistic regression whose weights are drawn towards the labels' text directions.

    minimise  Σ_i CE(s·x_i Wᵀ + b, y_i)  +  ½ Σ_c λ_c ‖w_c − α t_c‖²  +  ½ κ ‖b‖²

The sums are sums, not means: the prior fades as 1/n. docs/explanation/heads.md tells why each part is there.
Sources: CLAP (arXiv 2312.12730), LP++ (2404.02285), SS-Text (2506.17500).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.descent import Point, solve
from workers.heads.estimator import HeadEstimator, Labelled
from workers.heads.folds import held_out
from workers.heads.head import LogisticHead
from workers.heads.objective import F8, Problem, Rows, log_softmax
from workers.heads.paths import RegularizationPath, fit_paths

# λ₀ as multiples of s²·v, v the images' mean squared distance from their centre: in this unit the useful
# range is the same for every encoder, however narrow the cone its embeddings lie in.
LAMBDA_GRID = 10.0 ** np.linspace(1.0, -5.0, 9)
FIXED_LAMBDA, FIXED_LAMBDA_RANGE = 0.1, 320.0
# How far the images' spread is evened out before the prior measures distances: 0 leaves it as it is (the
# prior is the same in every direction), ½ is half-way to whitening.
EVENNESS_GRID = (0.0, 0.5)
PSEUDO_COUNTS = 4.0
# Standard errors by which a metric must be behind on some labels to be left out on all: with more, the order can turn.
_BEHIND = 5.0
_ALIKE = float(np.log(6.0))  # one step of the grid of strengths: near enough to begin from
# The bias's prior: a standard deviation of 0.7 logits. Nearly free (0.1) it follows the luck of a dozen labels.
KAPPA = 2.0


class LogisticTextPriorHead(HeadEstimator):
    """An estimator with scikit-learn's conventions; labels are the indices 0 … L−1 of ``text``.

    Args:
        text: (L, d) text directions t_c (unit rows), or zeros where there is no text.
        logit_scale: the encoder's s.
        lambda0: the prior's strength λ₀ in units of s²·v (see ``LAMBDA_GRID``); None chooses it by
            cross-validation inside the labels; below two labels a class it is
            ``FIXED_LAMBDA``, up to ``FIXED_LAMBDA_RANGE`` times that where the text is right on the labels there are.
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
        fold_heads_: one for each fold, without the rows of it; empty without cross-validation. begun_: the first
            strength tried, and the same at it.
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

    def _choose(self, text: F8, data: Labelled) -> None:
        self.cv_loss_: F8 | None = None
        self.cv_se_: F8 | None = None
        self.lambda_grid_ = LAMBDA_GRID.copy()
        self.fold_heads_: list[FoldHead] = []
        self.begun_: tuple[float, list[FoldHead]] | None = None
        evenness = EVENNESS_GRID if self.evenness is None else (float(self.evenness),)
        self.evenness_ = evenness[0]
        self.lambda0_ = FIXED_LAMBDA if self.lambda0 is None else float(self.lambda0)
        if data.empty:
            self.evenness_ = 0.0
            return
        if data.fold is None:
            if self.lambda0 is None:
                self.lambda0_ = self._by_rule(data.scale * (data.vectors @ text.T), data.Y, data.v)
            return
        grid = LAMBDA_GRID if self.lambda0 is None else np.array([float(self.lambda0)])
        self._search(text, data, evenness, grid)

    def _cross_validate(self, text: F8, data: Labelled) -> None:
        evenness, grid = self._left
        self._search(text, data, evenness, grid)
        while self.lambda0 is None and self.lambda0_ == grid[0] < LAMBDA_GRID[0]:
            # At the strong end of what is left: a stronger prior may be better still, and is found quickly.
            at = int(np.flatnonzero(grid[0] == LAMBDA_GRID)[0])
            grid = LAMBDA_GRID[max(0, at - 3) : at + 2]
            self._search(text, data, evenness, grid)

    def _search(self, text: F8, data: Labelled, evenness: tuple[float, ...], grid: F8) -> None:
        """Cross-validate these, take the best, and note what would be worth another look on more labels."""
        B = data.scale * (data.vectors @ text.T)  # (n, L)
        priors = self._priors(B, data)
        paths = [RegularizationPath(self._metric(data, power), priors) for power in evenness]
        begun = None
        if self.begun_ is not None and len(self.begun_[1]) == len(priors):
            near, heads = self.begun_
            if abs(np.log(near / grid[0])) < _ALIKE:
                begun = [each.on(data, alpha, text) for each, (alpha, _) in zip(heads, priors, strict=True)]
        fit_paths(data, B, paths, grid * data.images.unit, self.kappa, begun)
        losses = [np.stack(path.losses) for path in paths]  # (g, n) of each
        means = [loss @ data.v / float(data.v.sum()) for loss in losses]
        at = int(np.argmin([mean.min() for mean in means]))  # the first among equals
        best = [int(mean.argmin()) for mean in means]
        spreads = [_spread_of_gap(loss, b, data.v) for loss, b in zip(losses, best, strict=True)]
        chosen = [one_standard_error(mean, spread) for mean, spread in zip(means, spreads, strict=True)]
        self.lambda_grid_, self.cv_loss_, self.cv_se_ = grid[: len(means[at])], means[at], spreads[at]
        self.evenness_, self.lambda0_ = evenness[at], float(grid[chosen[at]])
        self.oof_logits_ = paths[at].logits[chosen[at]]
        self.fold_heads_ = self._heads(data, paths[at].points[chosen[at]], priors, text)
        self.begun_ = float(grid[0]), self._heads(data, paths[at].points[0], priors, text)

        ends = np.stack([loss[b] for loss, b in zip(losses, best, strict=True)])
        behind = ends @ data.v / float(data.v.sum())
        kept = np.flatnonzero(behind - behind[at] <= _BEHIND * _spread_of_gap(ends, at, data.v))
        first = max(0, min(chosen[i] for i in kept) - 2)
        last = max(best[i] for i in kept) + 1
        self._left = tuple(evenness[i] for i in kept), grid[first : last + 1]

    def _complete(self, text: F8, data: Labelled) -> None:
        n_labels = data.Y.shape[1]
        if data.empty:
            self.text_scale_ = 1.0 if self.text_scale is None else float(self.text_scale)
            self.lambdas_ = np.full(n_labels, self.lambda0_ * data.scale**2)
            self.coef_, self.intercept_ = text * self.text_scale_, np.zeros(n_labels)
            return
        B = data.scale * (data.vectors @ text.T)  # (n, L)
        images = data.images
        metric = self._metric(data, self.evenness_)
        self.text_scale_, profile = self._prior(B, data.Y, data.v)
        self.lambdas_ = self.lambda0_ * images.unit * profile
        problem = [Problem(data.v, self.text_scale_, self.lambdas_[:, None] / metric, self.kappa)]
        # Whatever is begun with, the goal is the same: the mean of the folds' is nearly there.
        near = None
        if self.fold_heads_:
            coef = np.mean([each.coef for each in self.fold_heads_], axis=0)
            intercept = np.mean([each.intercept for each in self.fold_heads_], axis=0)
            near = [FoldHead(coef, intercept).on(data, self.text_scale_, text)]
        rough = solve(
            Rows.of(images.Z, B, data.Y, np.float32), problem, starts=near, tolerance=1e-6, max_iter=100
        )
        point = solve(Rows.of(images.Z, B, data.Y), problem, starts=rough, tolerance=1e-9)[0]
        whole = FoldHead.of(data, point, self.text_scale_, text)
        self.coef_, self.intercept_ = whole.coef, whole.intercept

    @staticmethod
    def _heads(
        data: Labelled, points: list[Point], priors: list[tuple[float, F8]], text: F8
    ) -> list[FoldHead]:
        return [FoldHead.of(data, at, alpha, text) for at, (alpha, _) in zip(points, priors, strict=True)]

    def _metric(self, data: Labelled, power: float) -> F8:
        """(r,) what the prior's strength is divided by along each axis."""
        return even_out(data.images.energy, data.vectors.shape[1], power) ** 2

    def _prior(self, B: F8, Y: F8, v: F8) -> tuple[float, F8]:
        """α, and each class's λ_c/λ₀ = π_c/mean(π)."""
        alpha = fit_text_scale(B, Y, v) if self.text_scale is None else float(self.text_scale)
        right = np.exp(log_softmax(alpha * B)) * Y * v[:, None]  # (n, L)
        counts = (Y * v[:, None]).sum(axis=0)
        mean = float(right.sum() / counts.sum())
        trust = (right.sum(axis=0) + self.pseudo_counts * mean) / (counts + self.pseudo_counts)
        trust = np.maximum(trust, 1e-6)
        return alpha, trust / trust.mean()

    def _priors(self, B: F8, data: Labelled) -> list[tuple[float, F8]]:
        """The same of each fold, by the rows outside it."""
        assert data.fold is not None
        return [self._prior(B[~out], data.Y[~out], data.v[~out]) for out in held_out(data.fold)]

    def _by_rule(self, B: F8, Y: F8, v: F8) -> float:
        """λ₀ while labels are too few to compare: far stronger where the text is right than where it guesses."""
        n_labels = Y.shape[1]
        alpha = fit_text_scale(B, Y, v) if self.text_scale is None else float(self.text_scale)
        right = float(v @ (np.exp(log_softmax(alpha * B)) * Y).sum(axis=1)) / float(v.sum())
        skill = max(0.0, right - 1.0 / n_labels) / max(1.0 - 1.0 / n_labels, 1e-12)
        return FIXED_LAMBDA * FIXED_LAMBDA_RANGE**skill


@dataclass(frozen=True)
class FoldHead:
    """What the rows outside one fold say, in no basis: logits = s·x·coefᵀ + intercept. Others are begun from it."""

    coef: F8  # (L, d)
    intercept: F8  # (L,)

    @classmethod
    def of(cls, data: Labelled, point: Point, alpha: float, text: F8) -> FoldHead:
        away = point[0].astype(np.float64) @ data.images.V.T  # (L, d): w_c − α t_c
        return cls(alpha * text + away, point[1] - data.scale * (away @ data.images.centre))

    def on(self, data: Labelled, alpha: float, text: F8) -> Point:
        """In the basis of these images, as far from α t as it is."""
        away = self.coef - alpha * text
        return away @ data.images.V, self.intercept + data.scale * (away @ data.images.centre)


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
    centred = B - B.max(axis=1, keepdims=True)
    told = float(v @ (centred * Y).sum(axis=1))
    low, high, alpha = 0.0, 4.0, 1.0
    # Newton's steps on a convex function of one number, kept inside what its slope still allows.
    for _ in range(50):
        p = np.exp(log_softmax(alpha * centred))
        mean = (p * centred).sum(axis=1)
        slope = float(v @ mean) - told + 4.0 * (alpha - 1.0)
        bend = float(v @ ((p * centred * centred).sum(axis=1) - mean * mean)) + 4.0
        low, high = (low, alpha) if slope > 0 else (alpha, high)
        step = alpha - slope / bend
        if not low < step < high:
            step = 0.5 * (low + high)
        if abs(step - alpha) < 1e-7:
            return step
        alpha = step
    return alpha
