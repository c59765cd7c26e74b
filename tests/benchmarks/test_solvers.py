"""The benchmark of solvers: both sides solve the same problems from the same starts."""

import numpy as np

from benchmarks import solvers
from workers.acquisition import kmeans
from workers.heads import descent
from workers.heads.objective import Problem, Rows, evaluate


def test_scipy_reaches_the_same_minimum_as_our_solver() -> None:
    rng = np.random.default_rng(0)
    Y = np.eye(3)[rng.integers(0, 3, 80)]
    rows = Rows.of(rng.standard_normal((80, 5)), rng.standard_normal((80, 3)), Y)
    problems = [Problem(np.ones(80), 0.5, np.full((3, 5), strength), 1e-2) for strength in (0.1, 10.0)]
    starts = [(rng.standard_normal((3, 5)), np.zeros(3)), (np.full((3, 5), 1e3), np.zeros(3))]
    ours = descent.solve(rows, problems, starts=starts, tolerance=1e-12)
    by_scipy = solvers.solve_by_scipy(rows, problems, starts=starts, tolerance=1e-12)
    for (W, b), (W2, b2), problem in zip(ours, by_scipy, problems, strict=True):
        np.testing.assert_allclose(W, W2, atol=1e-4)
        gradient = evaluate(W2[None], b2[None], rows, [problem])
        assert abs(gradient.grad_W).max() < 1e-3 and abs(gradient.grad_b).max() < 1e-3
        np.testing.assert_allclose(b, b2, atol=1e-3)


def test_sklearn_reaches_the_same_centres_as_our_solver() -> None:
    V = np.random.default_rng(1).standard_normal((4_000, 6)).astype(np.float32)  # more than the subset
    V, w, part = solvers.subset(V, np.arange(1.0, 4_001), 7, seed=3)
    assert part is not None
    first = kmeans._initial_centres(V[part], w[part], 7, np.random.default_rng(3))
    ours = solvers.lloyd_by_ours(V, w, part, first)
    by_sklearn = solvers.lloyd_by_sklearn(V, w, part, first)
    np.testing.assert_allclose(ours[0], by_sklearn[0], atol=1e-3)
    assert (ours[1] == by_sklearn[1]).mean() > 0.99
    assert by_sklearn[0].dtype == np.float32


def test_ratio_is_the_time_of_the_library_divided_by_ours() -> None:
    total: list[int] = []
    figures = solvers.pairs("x", lambda: None, lambda: total.extend(range(300_000)), 3)
    assert len(total) == 900_000
    assert figures["x_ratio_cpu"] > 10 and figures["x_library_cpu_s"] > figures["x_ours_cpu_s"]
