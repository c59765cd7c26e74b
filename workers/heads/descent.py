"""L-BFGS for many problems at once: steps are independent, losses are evaluated together.

Variables are scaled by the root of the Hessian's diagonal at the start; with that, a dozen steps suffice.
scipy's L-BFGS takes one problem at a time, which costs 1.7 to 2.4 times as much processor time
(docs/decisions/0014).

Sources: Liu and Nocedal, "On the limited memory BFGS method" (1989); the compact form of the inverse from
Byrd, Nocedal and Schnabel, "Representations of quasi-Newton matrices" (1994), theorem 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.heads.objective import F8, F, Problem, Rows, evaluate

Point = tuple[F, F8]  # W (L, r), b (L,)

# More columns in one product are no faster, and each problem keeps 2 · _MEMORY vectors.
_MAX_COLUMNS = 512
_MEMORY = 8
_SUFFICIENT_DECREASE = 1e-4  # Armijo's constant
_MAX_BACKTRACKS = 12


def solve(
    rows: Rows,
    problems: Sequence[Problem],
    *,
    starts: Sequence[Point] | None = None,
    tolerance: float = 1e-8,
    max_iter: int = 300,
) -> list[Point]:
    """Return the minimiser (W (L, r), b (L,)) of each problem, in the rows' dtype.

    The problems are strictly convex, so the start does not change the minimiser. A start that is worse than
    zeros is replaced by zeros.

    Args:
        starts: one for each problem; zeros when omitted.
        tolerance: relative decrease of the objective (absolute below 1) at which a problem stops.
        max_iter: steps after which a problem stops in any case.
    """
    L, r = len(rows.Y), rows.Z.shape[1]
    dtype = rows.Z.dtype
    batch_size = max(1, _MAX_COLUMNS // L)
    minimisers: list[Point] = []
    for first in range(0, len(problems), batch_size):
        batch = problems[first : first + batch_size]
        if starts is None:
            W, b = np.zeros((len(batch), L, r), dtype), np.zeros((len(batch), L))
        else:
            W = np.stack([W for W, _ in starts[first : first + batch_size]]).astype(dtype)
            b = np.stack([b for _, b in starts[first : first + batch_size]]).astype(np.float64)
        minimisers += _solve_batch(rows, batch, W, b, tolerance, max_iter)
    return minimisers


def _solve_batch(
    rows: Rows, problems: Sequence[Problem], W: F, b: F8, tolerance: float, max_iter: int
) -> list[Point]:
    _, L, r = W.shape
    dtype = W.dtype
    start = evaluate(W, b, rows, problems, curvature=True)
    if W.any() or b.any():
        # Scales taken at a start far from the minimum would be wrong. A loss of NaN counts as worse.
        worse = ~(start.loss <= evaluate(np.zeros_like(W), np.zeros_like(b), rows, problems).loss)
        if worse.any():
            W[worse], b[worse] = 0, 0
            start = evaluate(W, b, rows, problems, curvature=True)
    assert start.hessian_diag_W is not None and start.hessian_diag_b is not None
    scale = 1.0 / np.sqrt(_flat(start.hessian_diag_W, start.hessian_diag_b))  # (P, L·r + L)
    runs = [
        LBFGS(x, float(loss), gradient, tolerance, max_iter)
        for x, loss, gradient in zip(
            _flat(W, b) / scale, start.loss, _flat(start.grad_W, start.grad_b) * scale, strict=True
        )
    ]
    while active := [i for i, run in enumerate(runs) if not run.done]:
        x = np.stack([runs[i].trial for i in active]) * scale[active]
        values = evaluate(
            x[:, : L * r].reshape(-1, L, r),
            x[:, L * r :].astype(np.float64),
            rows,
            [problems[i] for i in active],
        )
        gradients = _flat(values.grad_W, values.grad_b) * scale[active]
        for i, loss, gradient in zip(active, values.loss, gradients, strict=True):
            runs[i].update(float(loss), gradient)
    solutions = np.stack([run.x for run in runs]) * scale
    return [
        (x[: L * r].reshape(L, r).astype(dtype, copy=False), x[L * r :].astype(np.float64)) for x in solutions
    ]


def _flat(W: F, b: F8) -> F:
    """Return (P, L·r + L) from W (P, L, r) and b (P, L)."""
    return np.concatenate([W.reshape(len(W), -1), b.astype(W.dtype)], axis=1)


class LBFGS:
    """One L-BFGS run: evaluate the objective at `trial`, pass the result to `update`, until `done`.

    Args:
        x: (N,) the start, with its loss and gradient; their dtype is that of the stored vectors.
    """

    def __init__(self, x: F, loss: float, gradient: F, tolerance: float, max_iter: int) -> None:
        self.x, self.loss, self.gradient = x, loss, gradient
        self.tolerance, self.steps_left = tolerance, max_iter
        self.done = False
        self._steps = np.empty((_MEMORY, x.size), x.dtype)  # S
        self._gradient_changes = np.empty((_MEMORY, x.size), x.dtype)  # Y
        self._SY = np.zeros((_MEMORY, _MEMORY))
        self._YY = np.zeros((_MEMORY, _MEMORY))
        self._stored = 0
        self._step_size, self._backtracks = 1.0, 0
        # The rounding error of the loss: a step is not rejected for a change of this size.
        self._noise = 2.0 * float(np.finfo(x.dtype).eps)
        self._start_line_search()

    def update(self, loss: float, gradient: F) -> None:
        """Take the loss and gradient at `trial`: accept the step or shorten it."""
        expected = _SUFFICIENT_DECREASE * self._step_size * self._slope
        allowed = self.loss + expected + self._noise * abs(self.loss)
        if not loss <= allowed:  # or NaN
            self._shorten(loss)
            return
        decrease = self.loss - loss
        self._store(self.trial - self.x, gradient - self.gradient)
        self.x, self.loss, self.gradient = self.trial, loss, gradient
        self.steps_left -= 1
        if decrease <= self.tolerance * max(abs(loss), 1.0) or self.steps_left <= 0:
            self.done = True
        else:
            self._start_line_search()

    def _shorten(self, loss: float) -> None:
        """Move `trial` to the minimum of the interpolating parabola, at 0.1 … 0.5 of the step."""
        self._backtracks += 1
        if self._backtracks > _MAX_BACKTRACKS:
            self.done = True
            return
        t = self._step_size
        excess = loss - self.loss - t * self._slope
        minimum = -0.5 * self._slope * t * t / excess if np.isfinite(excess) and excess > 0 else 0.0
        self._step_size = float(np.clip(minimum, 0.1 * t, 0.5 * t))
        self.trial = self.x + self.x.dtype.type(self._step_size) * self._direction

    def _store(self, step: F, change: F) -> None:
        curvature = float(step @ change)
        if not curvature > 1e-12 * float(change @ change):  # only rounding is left
            return
        i = self._stored % _MEMORY
        self._stored += 1
        self._steps[i], self._gradient_changes[i] = step, change
        m = min(self._stored, _MEMORY)
        self._SY[i, :m] = self._gradient_changes[:m] @ step
        self._SY[:m, i] = self._steps[:m] @ change
        self._YY[i, :m] = self._YY[:m, i] = self._gradient_changes[:m] @ change

    def _start_line_search(self) -> None:
        self._direction = self._search_direction()
        self._slope = float(self._direction @ self.gradient)
        self._step_size, self._backtracks = 1.0, 0
        if self._slope < 0:
            self.trial = self.x + self._direction
        else:  # the minimum, up to rounding
            self.done = True

    def _search_direction(self) -> F:
        """Return −H⁻¹ · gradient, with the inverse Hessian estimated from the stored steps."""
        g = self.gradient
        m = min(self._stored, _MEMORY)
        if m == 0:
            return -g
        order = np.arange(self._stored - m, self._stored) % _MEMORY  # oldest first
        SY, YY = self._SY[np.ix_(order, order)], self._YY[np.ix_(order, order)]
        gamma = SY[-1, -1] / YY[-1, -1]
        R = np.triu(SY)
        Sg = np.linalg.solve(R, (self._steps[:m] @ g)[order].astype(np.float64))
        Yg = (self._gradient_changes[:m] @ g)[order].astype(np.float64)
        by_step, by_change = np.empty(m), np.empty(m)
        by_step[order] = np.linalg.solve(R.T, np.diag(SY) * Sg + gamma * (YY @ Sg) - gamma * Yg)
        by_change[order] = -gamma * Sg
        inverse: NDArray[Any] = g * g.dtype.type(gamma)
        inverse += by_step.astype(g.dtype) @ self._steps[:m]
        inverse += by_change.astype(g.dtype) @ self._gradient_changes[:m]
        return -inverse
