"""Cross-validation of the logistic heads along regularization paths, all folds together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from workers.heads.descent import Point, solve
from workers.heads.estimator import LabelledData
from workers.heads.folds import fold_masks
from workers.heads.objective import F8, Problem, Rows, log_softmax

# Fold models are fitted roughly and in float32, at half the time: the error is far below the standard error
# of the loss. With few labels, losses of neighbouring strengths are too close for that.
_FEW_ROWS = 400
_TOLERANCE, _MAX_ITER = 1e-5, 60
_TOLERANCE_FEW, _MAX_ITER_FEW = 1e-8, 300


@dataclass
class RegularizationPath:
    """Out-of-fold losses and logits of one metric of the prior, at decreasing strengths.

    ``metric`` (r,): λ_c is divided by it along each axis. ``priors``: α and λ_c/λ₀ (L,) of each fold.
    """

    metric: F8
    priors: list[tuple[float, F8]]
    losses: list[F8] = field(default_factory=list)  # (n,) at each strength
    logits: list[F8] = field(default_factory=list)  # (n, L) at each strength
    points: list[list[Point]] = field(default_factory=list)  # one for each fold, at each strength
    active: bool = True
    _reference: int = 0
    _without_gain: int = 0

    def update_active(self, v: F8) -> None:
        """Stop after two strengths in a row that do not improve the reference by one standard error.

        The one-standard-error rule would not choose such a strength.
        """
        last = len(self.losses) - 1
        if last == 0:
            return
        gap = (self.losses[last] - self.losses[self._reference]) * v * (len(v) / float(v.sum()))
        if gap.mean() < -gap.std(ddof=1) / np.sqrt(len(v)):
            self._reference, self._without_gain = last, 0
        else:
            self._without_gain += 1
        self.active = self._without_gain < 2

    def extrapolate(self) -> list[Point] | None:
        """Return the starts at the next strength, linear in the last two solutions; None without a solution.

        Strengths fall by a constant factor, and solutions are nearly linear in log λ.
        """
        if not self.points:
            return None
        if len(self.points) == 1:
            return self.points[-1]
        return [
            (2 * W - before_W, 2 * b - before_b)
            for (W, b), (before_W, before_b) in zip(self.points[-1], self.points[-2], strict=True)
        ]


def fit_paths(
    data: LabelledData,
    B: F8,
    paths: Sequence[RegularizationPath],
    strengths: F8,
    kappa: float,
    starts: list[Point] | None = None,
) -> None:
    """Fit the folds of each path at each strength (absolute, strongest first), until the path stops.

    starts: one for each fold, at the first strength.
    """
    fold = data.fold
    assert fold is not None
    Z = data.images.Z
    folds = fold_masks(fold)
    order = np.argsort(fold, kind="stable")  # a block of one fold is skipped in that fold's own problem
    few = len(data) <= _FEW_ROWS
    dtype: type = np.float64 if few else np.float32
    tolerance, max_iter = (_TOLERANCE_FEW, _MAX_ITER_FEW) if few else (_TOLERANCE, _MAX_ITER)
    rows = Rows.of(Z[order], B[order], data.Y[order], dtype)
    train_weights = [(data.v * ~out)[order] for out in folds]
    test_images = [Z[out] for out in folds]
    n_labels = data.Y.shape[1]
    for strength in strengths:
        active = [path for path in paths if path.active]
        if not active:
            return
        problems: list[Problem] = []
        all_starts: list[Point] = []
        for path in active:
            for v, (alpha, profile) in zip(train_weights, path.priors, strict=True):
                lam = (strength * profile[:, None] / path.metric).astype(dtype)  # (L, r)
                problems.append(Problem(v, alpha, lam, kappa))
            zeros: list[Point] = [(np.zeros((n_labels, Z.shape[1]), dtype), np.zeros(n_labels))] * len(folds)
            all_starts += path.extrapolate() or starts or zeros
        points = solve(rows, problems, starts=all_starts, tolerance=tolerance, max_iter=max_iter)
        for i, path in enumerate(active):
            path_points = points[i * len(folds) : (i + 1) * len(folds)]
            scores = np.empty(data.Y.shape)
            for out, z, (W, b), (alpha, _) in zip(folds, test_images, path_points, path.priors, strict=True):
                scores[out] = z @ W.T.astype(np.float64) + alpha * B[out] + b
            path.points.append(path_points)
            path.logits.append(scores)
            path.losses.append(-(data.Y * log_softmax(scores)).sum(axis=1))
            path.update_active(data.v)
