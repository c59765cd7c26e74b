"""The optimisation problem of the logistic heads, and its solver for many problems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.heads.descent import solve
from workers.heads.logistic import fit_text_scale, whitening_factors
from workers.heads.objective import Problem, Rows, basis, evaluate, log_softmax


def make_problems(n: int, r: int, labels: int, seed: int):
    """Return three problems on the same rows, with soft targets, weights, and rows of weight 0."""
    rng = np.random.default_rng(seed)
    rows = Rows.of(rng.normal(size=(n, r)), rng.normal(size=(n, labels)), rng.dirichlet(np.ones(labels), n))
    v = rng.random((3, n))
    v[1, : n // 3] = 0.0
    v[2, n // 2 :] = 0.0
    problems = [Problem(v[i], float(rng.random()), rng.random((labels, r)) + 0.1, 0.3) for i in range(3)]
    return rng, rows, problems


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_gradients_and_hessian_diagonals_equal_finite_differences(seed: int) -> None:
    n, r, labels = 7, 3, 4
    rng, rows, problems = make_problems(n, r, labels, seed)
    W, b = rng.normal(size=(3, labels, r)), rng.normal(size=(3, labels))
    values = evaluate(W, b, rows, problems, curvature=True)
    assert values.hessian_diag_W is not None and values.hessian_diag_b is not None
    step = 1e-6

    def finite_differences(
        W: np.ndarray, b: np.ndarray, by: np.ndarray, at: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        up, down = evaluate(W, b, rows, problems), by.copy()
        down[(slice(None), *at)] -= 2 * step
        other = evaluate(down if by is W else W, down if by is b else b, rows, problems)
        slopes = (up.grad_W, other.grad_W) if by is W else (up.grad_b, other.grad_b)
        index = (slice(None), *at)
        return (up.loss - other.loss) / (2 * step), (slopes[0][index] - slopes[1][index]) / (2 * step)

    for c in range(labels):
        for i in range(r):
            up = W.copy()
            up[:, c, i] += step
            slope, bend = finite_differences(up, b, up, (c, i))
            np.testing.assert_allclose(slope, values.grad_W[:, c, i], atol=1e-6)
            np.testing.assert_allclose(bend, values.hessian_diag_W[:, c, i], atol=1e-5)
        up = b.copy()
        up[:, c] += step
        slope, bend = finite_differences(W, up, up, (c,))
        np.testing.assert_allclose(slope, values.grad_b[:, c], atol=1e-6)
        np.testing.assert_allclose(bend, values.hessian_diag_b[:, c], atol=1e-5)


@pytest.mark.parametrize("n", [5, 512, 1700])
def test_problems_evaluated_together_equal_separate_evaluations(n: int) -> None:
    """Skipped blocks and shared products change no sum."""
    rng, rows, problems = make_problems(n, 6, 4, 1)
    W, b = rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 4))
    values = evaluate(W, b, rows, problems)
    for i in range(3):
        alone = evaluate(W[i : i + 1], b[i : i + 1], rows, [problems[i]])
        p = np.exp(log_softmax(problems[i].alpha * rows.B.T + rows.Z @ W[i].T + b[i]))
        by_hand = (problems[i].v[:, None] * (p - rows.Y.T)).T @ rows.Z + problems[i].lam * W[i]
        for expected in (alone.grad_W[0], by_hand):
            np.testing.assert_allclose(values.grad_W[i], expected, rtol=1e-9, atol=1e-9)
        assert values.loss[i] == pytest.approx(alone.loss[0], rel=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_many_problems_are_solved_at_once(seed: int) -> None:
    rng, rows, problems = make_problems(60, 5, 3, seed)
    starts = [(rng.normal(size=(3, 5)), rng.normal(size=3)) for _ in problems]
    cold, warm = solve(rows, problems, tolerance=1e-13), solve(rows, problems, starts=starts, tolerance=1e-13)
    for (W, b), (other, _), problem in zip(cold, warm, problems, strict=True):
        np.testing.assert_allclose(W, other, atol=1e-4)
        at = evaluate(W[None], b[None], rows, [problem])
        assert max(np.abs(at.grad_W).max(), np.abs(at.grad_b).max()) < 1e-4


@pytest.mark.parametrize(("n", "d"), [(50, 10), (10, 50), (1, 5), (5, 5)])
def test_basis_spans_the_rows(n: int, d: int) -> None:
    X = np.random.default_rng(0).normal(size=(n, d))
    V, eigenvalues = basis(X)
    np.testing.assert_allclose(V.T @ V, np.eye(V.shape[1]), atol=1e-8)
    np.testing.assert_allclose(X @ V @ V.T, X, atol=1e-8)
    np.testing.assert_allclose(((X @ V) ** 2).sum(axis=0), eigenvalues, rtol=1e-6)


def test_whitening_keeps_the_total_energy() -> None:
    energy = np.array([10.0, 1.0, 0.01])
    f = whitening_factors(energy, 3, 0.5)
    assert (f**2 * energy).sum() == pytest.approx(energy.sum())
    assert f[0] < f[1] < f[2]
    assert (whitening_factors(energy, 3, 0.0) == 1).all()


def test_text_scale_recovers_the_true_scale() -> None:
    rng = np.random.default_rng(0)
    B = rng.normal(size=(4000, 5)) * 6
    p = np.exp(0.5 * B)
    p /= p.sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    assert fit_text_scale(B, np.eye(5)[y], np.ones(4000)) == pytest.approx(0.5, abs=0.05)
    assert fit_text_scale(B, np.eye(5)[rng.integers(0, 5, 4000)], np.ones(4000)) < 0.05


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_distant_start_does_not_change_the_minimum(dtype: type) -> None:
    """Scales taken at a saturated start would be wrong near the minimum."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(120, 16))
    Z *= 100 / np.linalg.norm(Z, axis=1, keepdims=True)
    rows = Rows.of(Z, np.zeros((120, 4)), np.eye(4)[rng.integers(0, 4, 120)], dtype)
    problem = Problem(np.ones(120), 1.0, np.full((4, 16), 10.0), 2.0)
    starts = [(rng.normal(0, 5, (4, 16)), rng.normal(0, 5, 4)), (np.full((4, 16), np.nan), np.zeros(4))]
    best, *others = [
        evaluate(W[None], b[None], rows, [problem]).loss[0]
        for begin in (None, *starts)
        for W, b in solve(rows, [problem], starts=None if begin is None else [begin], tolerance=1e-7)
    ]
    np.testing.assert_allclose(others, best, rtol=1e-4)
