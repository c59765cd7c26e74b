"""L-BFGS for many problems at once: each goes its own way, their values are computed together.

Variables are scaled by the root of the Hessian's diagonal at the start, which is what makes it converge in a dozen steps.
scipy's is not used: it takes one problem at a time, and at 51,200 variables spent as long on its own memory as on
products.

Sources: Liu and Nocedal, "On the limited memory BFGS method" (1989); the compact form of the inverse from Byrd, Nocedal
and Schnabel, "Representations of quasi-Newton matrices" (1994), theorem 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.heads.objective import F8, F, Problem, Rows, evaluate

Point = tuple[F, F8]  # W (L, r), b (L,)

# More columns than this in one product gain nothing, and each problem remembers 2 · _MEMORY points.
_COLUMNS = 512
_MEMORY = 8
_SUFFICIENT = 1e-4  # of the decrease that the slope promises (Armijo)
_HALVINGS = 12


def solve(
    rows: Rows,
    problems: Sequence[Problem],
    *,
    starts: Sequence[Point] | None = None,
    tolerance: float = 1e-8,
    max_iter: int = 300,
) -> list[Point]:
    """The minimiser (W (L, r), b (L,)) of each problem, in the rows' dtype.

    They are strictly convex, so that the start changes the way, not the goal; one that is worse than zeros is not taken.
    A problem ends where a step gains less than `tolerance`, or after `max_iter` steps, wherever that is.

    Args:
        starts: of each problem; zeros when omitted. tolerance: relative decrease of the objective (of 1, where it is
            less) at which a problem stops. max_iter: steps of each.
    """
    L, r = len(rows.Y), rows.Z.shape[1]
    dtype = rows.Z.dtype
    together = max(1, _COLUMNS // L)
    found: list[Point] = []
    for first in range(0, len(problems), together):
        part = problems[first : first + together]
        if starts is None:
            W, b = np.zeros((len(part), L, r), dtype), np.zeros((len(part), L))
        else:
            W = np.stack([W for W, _ in starts[first : first + together]]).astype(dtype)
            b = np.stack([b for _, b in starts[first : first + together]]).astype(np.float64)
        found += _together(rows, part, W, b, tolerance, max_iter)
    return found


def _together(
    rows: Rows, problems: Sequence[Problem], W: F, b: F8, tolerance: float, max_iter: int
) -> list[Point]:
    _, L, r = W.shape
    dtype = W.dtype
    here = evaluate(W, b, rows, problems, curvature=True)
    if W.any() or b.any():
        # A start that is worse than none would set scales that hold nowhere near the minimum. NaN counts as worse.
        worse = ~(here.loss <= evaluate(np.zeros_like(W), np.zeros_like(b), rows, problems).loss)
        if worse.any():
            W[worse], b[worse] = 0, 0
            here = evaluate(W, b, rows, problems, curvature=True)
    assert here.diagonal_W is not None and here.diagonal_b is not None
    scale = 1.0 / np.sqrt(_flat(here.diagonal_W, here.diagonal_b))  # (P, L·r + L)
    ways = [
        Descent(u, float(loss), g, tolerance, max_iter)
        for u, loss, g in zip(
            _flat(W, b) / scale, here.loss, _flat(here.by_W, here.by_b) * scale, strict=True
        )
    ]
    while active := [i for i, way in enumerate(ways) if not way.done]:
        at = np.stack([ways[i].trial for i in active]) * scale[active]
        there = evaluate(
            at[:, : L * r].reshape(-1, L, r),
            at[:, L * r :].astype(np.float64),
            rows,
            [problems[i] for i in active],
        )
        slopes = _flat(there.by_W, there.by_b) * scale[active]
        for i, loss, slope in zip(active, there.loss, slopes, strict=True):
            ways[i].tell(float(loss), slope)
    best = np.stack([way.at for way in ways]) * scale
    return [
        (each[: L * r].reshape(L, r).astype(dtype, copy=False), each[L * r :].astype(np.float64))
        for each in best
    ]


def _flat(W: F, b: F8) -> F:
    """(P, L·r + L) of (P, L, r) and (P, L)."""
    return np.concatenate([W.reshape(len(W), -1), b.astype(W.dtype)], axis=1)


class Descent:
    """One L-BFGS that is asked for the next point (`trial`) and told the value and gradient there, until it is `done`.

    Args:
        at: (N,) where it starts, loss and gradient there; their dtype is that of the memory.
    """

    def __init__(self, at: F, loss: float, gradient: F, tolerance: float, max_iter: int) -> None:
        self.at, self.loss, self.gradient = at, loss, gradient
        self.tolerance, self.left = tolerance, max_iter
        self.done = False
        self._moves = np.empty((_MEMORY, at.size), at.dtype)  # S
        self._turns = np.empty((_MEMORY, at.size), at.dtype)  # Y: how the gradient changed along each move
        self._SY = np.zeros((_MEMORY, _MEMORY))
        self._YY = np.zeros((_MEMORY, _MEMORY))
        self._kept = 0
        self._step, self._halvings = 1.0, 0
        # What rounding alone may change the loss by: a step is not refused for that.
        self._noise = 2.0 * float(np.finfo(at.dtype).eps)
        self._aim()

    def tell(self, loss: float, gradient: F) -> None:
        """Value and gradient at `trial`."""
        allowed = self.loss + _SUFFICIENT * self._step * self._slope + self._noise * abs(self.loss)
        if not loss <= allowed:  # NaN too
            self._shorten(loss)
            return
        drop = self.loss - loss
        self._remember(self.trial - self.at, gradient - self.gradient)
        self.at, self.loss, self.gradient = self.trial, loss, gradient
        self.left -= 1
        if drop <= self.tolerance * max(abs(loss), 1.0) or self.left <= 0:
            self.done = True
        else:
            self._aim()

    def _shorten(self, loss: float) -> None:
        """To the lowest point of the parabola through both values and the slope, within a tenth and a half."""
        self._halvings += 1
        if self._halvings > _HALVINGS:
            self.done = True
            return
        t = self._step
        over = loss - self.loss - t * self._slope
        lowest = -0.5 * self._slope * t * t / over if np.isfinite(over) and over > 0 else 0.0
        self._step = float(np.clip(lowest, 0.1 * t, 0.5 * t))
        self.trial = self.at + self.at.dtype.type(self._step) * self._direction

    def _remember(self, move: F, turn: F) -> None:
        bend = float(move @ turn)
        if not bend > 1e-12 * float(turn @ turn):  # rounding has eaten it
            return
        i = self._kept % _MEMORY
        self._kept += 1
        self._moves[i], self._turns[i] = move, turn
        m = min(self._kept, _MEMORY)
        self._SY[i, :m] = self._turns[:m] @ move
        self._SY[:m, i] = self._moves[:m] @ turn
        self._YY[i, :m] = self._YY[:m, i] = self._turns[:m] @ turn

    def _aim(self) -> None:
        self._direction = self._towards()
        self._slope = float(self._direction @ self.gradient)
        self._step, self._halvings = 1.0, 0
        if self._slope < 0:
            self.trial = self.at + self._direction
        else:  # at the minimum, as far as rounding lets one see
            self.done = True

    def _towards(self) -> F:
        """− H⁻¹ gradient, H⁻¹ as the memory knows it."""
        g = self.gradient
        m = min(self._kept, _MEMORY)
        if m == 0:
            return -g
        order = np.arange(self._kept - m, self._kept) % _MEMORY  # oldest first
        SY, YY = self._SY[np.ix_(order, order)], self._YY[np.ix_(order, order)]
        first = SY[-1, -1] / YY[-1, -1]
        R = np.triu(SY)
        along = np.linalg.solve(R, (self._moves[:m] @ g)[order].astype(np.float64))
        turned = (self._turns[:m] @ g)[order].astype(np.float64)
        by_move, by_turn = np.empty(m), np.empty(m)
        by_move[order] = np.linalg.solve(R.T, np.diag(SY) * along + first * (YY @ along) - first * turned)
        by_turn[order] = -first * along
        to: NDArray[Any] = g * g.dtype.type(first)
        to += by_move.astype(g.dtype) @ self._moves[:m]
        to += by_turn.astype(g.dtype) @ self._turns[:m]
        return -to
