"""Cross-validation of the logistic heads: a way from the strongest prior to the weakest, all folds together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from workers.heads.descent import Point, solve
from workers.heads.estimator import Labelled
from workers.heads.folds import held_out
from workers.heads.objective import F8, Problem, Rows, log_softmax

# A fit that is only looked at may be rough, and in float32, which is twice as fast: its out-of-fold loss moves by far less
# than its standard error. With a few dozen labels, though, strengths lie so close that roughness would choose among them.
_FEW = 400
_TOLERANCE, _STEPS = 1e-5, 60
_TOLERANCE_FEW, _STEPS_FEW = 1e-8, 300


@dataclass
class Way:
    """One kind of prior at ever less strength: how the rows fared by models that had not seen them.

    ``metric`` (r,): λ_c is divided by it along each axis. ``priors``: α and λ_c/λ₀ (L,) of each fold.
    """

    metric: F8
    priors: list[tuple[float, F8]]
    losses: list[F8] = field(default_factory=list)  # of each strength tried, (n,)
    logits: list[F8] = field(default_factory=list)  # … (n, L)
    points: list[list[Point]] = field(default_factory=list)  # … of each fold
    open: bool = True
    _reference: int = 0
    _idle: int = 0

    def weigh(self, v: F8) -> None:
        """Stop after two strengths in a row that are not clearly ahead of the last that was.

        One that is not ahead by a standard error would not be chosen: the rule then takes a stronger one.
        """
        at = len(self.losses) - 1
        if at == 0:
            return
        gap = (self.losses[at] - self.losses[self._reference]) * v * (len(v) / float(v.sum()))
        if gap.mean() < -gap.std(ddof=1) / np.sqrt(len(v)):
            self._reference, self._idle = at, 0
        else:
            self._idle += 1
        self.open = self._idle < 2

    def start(self) -> list[Point] | None:
        """Where to look for the next solutions: as far again as from the last but one to the last.

        Strengths fall by a constant factor, and solutions move nearly evenly with its logarithm.
        """
        if not self.points:
            return None
        if len(self.points) == 1:
            return self.points[-1]
        return [
            (2 * W - before_W, 2 * b - before_b)
            for (W, b), (before_W, before_b) in zip(self.points[-1], self.points[-2], strict=True)
        ]


def follow(
    data: Labelled, B: F8, ways: Sequence[Way], strengths: F8, kappa: float, starts: list[Point] | None = None
) -> None:
    """Fill each way with what its folds said at each strength (absolute, strongest first), until it stops.

    starts: of the folds of each way, at the first strength.
    """
    fold = data.fold
    assert fold is not None
    Z = data.images.Z
    folds = held_out(fold)
    order = np.argsort(fold, kind="stable")  # blocks of one fold only need no product for its own problem
    few = len(data) <= _FEW
    dtype: type = np.float64 if few else np.float32
    tolerance, steps = (_TOLERANCE_FEW, _STEPS_FEW) if few else (_TOLERANCE, _STEPS)
    rows = Rows.of(Z[order], B[order], data.Y[order], dtype)
    seen = [(data.v * ~out)[order] for out in folds]
    beyond = [Z[out] for out in folds]
    n_labels = data.Y.shape[1]
    for strength in strengths:
        going = [way for way in ways if way.open]
        if not going:
            return
        problems: list[Problem] = []
        begun: list[Point] = []
        for way in going:
            for v, (alpha, profile) in zip(seen, way.priors, strict=True):
                lam = (strength * profile[:, None] / way.metric).astype(dtype)  # (L, r)
                problems.append(Problem(v, alpha, lam, kappa))
            nothing: list[Point] = [(np.zeros((n_labels, Z.shape[1]), dtype), np.zeros(n_labels))] * len(
                folds
            )
            begun += way.start() or starts or nothing
        points = solve(rows, problems, starts=begun, tolerance=tolerance, max_iter=steps)
        for i, way in enumerate(going):
            mine = points[i * len(folds) : (i + 1) * len(folds)]
            scores = np.empty(data.Y.shape)
            for out, z, (W, b), (alpha, _) in zip(folds, beyond, mine, way.priors, strict=True):
                scores[out] = z @ W.T.astype(np.float64) + alpha * B[out] + b
            way.points.append(mine)
            way.logits.append(scores)
            way.losses.append(-(data.Y * log_softmax(scores)).sum(axis=1))
            way.weigh(data.v)
