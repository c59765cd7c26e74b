"""Our L-BFGS beside scipy's and our k-means beside scikit-learn's, on the calls that the product makes.

    python benchmarks/solvers.py [--quick] [--json PATH] [--folder FOLDER] [--pairs N]

The calls of one training (`train_head`) and of one choice of 2,000 images (`choose`) on a generated pool
(benchmarks/reranking/data.py) are recorded. Both sides then run them again with the same starts, subset of
rows, dtype, scaling of variables, memory (8), stopping rule and maximum number of steps, on one BLAS thread.
The two sides run in pairs in one process, and the order changes from pair to pair. Times are medians over the
pairs, and ratios are medians of the ratio within a pair (library / ours). `*_cpu` are processor seconds,
which other programs on the machine disturb less than the clock.

`fit` is all L-BFGS runs of a training. `lloyd` is all k-means runs of a choice from the same first centres.
`kmeans` is the same with k-means++ of each side. `refit` and `choose` are the whole steps, with the library
in place of our code.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from scipy.optimize import minimize  # noqa: E402
from sklearn.cluster import KMeans, kmeans_plusplus  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from benchmarks.harness import report  # noqa: E402
from benchmarks.reranking import data  # noqa: E402
from workers.acquisition import kmeans as ours  # noqa: E402
from workers.acquisition import medoids, mix  # noqa: E402
from workers.heads import descent, logistic, paths  # noqa: E402
from workers.heads.objective import Problem, Rows, evaluate  # noqa: E402
from workers.heads.scoring import score  # noqa: E402
from workers.heads.train import train_head  # noqa: E402


def solve_by_scipy(
    rows: Rows,
    problems: Sequence[Problem],
    *,
    starts: Sequence[descent.Point] | None = None,
    tolerance: float = 1e-8,
    max_iter: int = 300,
) -> list[descent.Point]:
    """Return what `descent.solve` returns, by scipy's L-BFGS-B, one problem after the other.

    The values at the start and the scales are evaluated for many problems together, as in `descent.solve`.
    """
    L, r = len(rows.Y), rows.Z.shape[1]
    dtype = rows.Z.dtype
    size = max(1, descent._MAX_COLUMNS // L)
    points: list[descent.Point] = []
    for first in range(0, len(problems), size):
        batch = problems[first : first + size]
        W, b = np.zeros((len(batch), L, r), dtype), np.zeros((len(batch), L))
        if starts is not None:
            W = np.stack([W for W, _ in starts[first : first + size]]).astype(dtype)
            b = np.stack([b for _, b in starts[first : first + size]]).astype(np.float64)
        at = evaluate(W, b, rows, batch, curvature=True)
        if W.any() or b.any():
            worse = ~(at.loss <= evaluate(np.zeros_like(W), np.zeros_like(b), rows, batch).loss)
            if worse.any():
                W[worse], b[worse] = 0, 0
                at = evaluate(W, b, rows, batch, curvature=True)
        assert at.hessian_diag_W is not None and at.hessian_diag_b is not None
        scale = 1.0 / np.sqrt(descent._flat(at.hessian_diag_W, at.hessian_diag_b))
        x = descent._flat(W, b) / scale
        gradient = descent._flat(at.grad_W, at.grad_b) * scale
        for i, problem in enumerate(batch):
            known = (float(at.loss[i]), gradient[i])
            points.append(_by_scipy(rows, problem, x[i], scale[i], known, tolerance, max_iter))
    return points


def _by_scipy(
    rows: Rows,
    problem: Problem,
    x: NDArray[Any],
    scale: NDArray[Any],
    known: tuple[float, NDArray[Any]],
    tolerance: float,
    max_iter: int,
) -> descent.Point:
    L, r = len(rows.Y), rows.Z.shape[1]
    dtype = rows.Z.dtype
    first = [known]  # the values at the start are not computed again

    def function(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if first:
            loss, gradient = first.pop()
            return loss, gradient.astype(np.float64)
        v = u.astype(dtype) * scale
        values = evaluate(
            v[None, : L * r].reshape(1, L, r), v[None, L * r :].astype(np.float64), rows, [problem]
        )
        gradient = descent._flat(values.grad_W, values.grad_b)[0] * scale
        return float(values.loss[0]), gradient.astype(np.float64)

    options = {
        "maxcor": descent._MEMORY,
        "ftol": tolerance,
        "gtol": 0.0,
        "maxiter": max_iter,
        "maxfun": 10**6,
    }
    v = minimize(function, x.astype(np.float64), jac=True, method="L-BFGS-B", options=options).x * scale
    return v[: L * r].reshape(L, r).astype(dtype), v[L * r :].astype(np.float64)


def subset(V: NDArray[Any], w: NDArray[Any], k: int, seed: int) -> tuple[Any, Any, Any]:
    """Return V about its mean, its weights, and the rows of the first passes (None: all rows)."""
    rng = np.random.default_rng(seed)
    V = V.astype(np.float32) - V.mean(axis=0, dtype=np.float64).astype(np.float32)
    w = (np.asarray(w, np.float64) / np.mean(w)).astype(np.float32)
    size = max(ours._SAMPLE, ours._SAMPLE_PER_CENTRE * k)
    return V, w, None if len(V) <= size else np.sort(rng.choice(len(V), size, replace=False))


def lloyd_by_ours(V: Any, w: Any, rows: Any, centres: Any) -> tuple[Any, Any]:
    """Return centres and labels by our passes from given centres."""
    if rows is None:
        return ours._lloyd(V, w, centres, ours._MAX_PASSES)
    first, _ = ours._lloyd(V[rows], w[rows], centres, ours._MAX_PASSES)
    return ours._lloyd(V, w, first, ours._FINAL_PASSES)


def lloyd_by_sklearn(V: Any, w: Any, rows: Any, centres: Any) -> tuple[Any, Any]:
    """Return centres and labels by scikit-learn's passes from given centres."""

    def passes(V: Any, w: Any, centres: Any, most: int) -> Any:
        model = KMeans(len(centres), init=centres, n_init=1, max_iter=most, tol=ours._TOLERANCE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fewer distinct rows than clusters
            return model.fit(V, sample_weight=w)

    if rows is not None:
        centres = passes(V[rows], w[rows], centres, ours._MAX_PASSES).cluster_centers_
    model = passes(V, w, centres, ours._MAX_PASSES if rows is None else ours._FINAL_PASSES)
    return model.cluster_centers_, model.labels_.astype(np.int64)


def kmeans_by_sklearn(V: NDArray[Any], w: NDArray[Any], k: int, seed: int) -> tuple[Any, Any]:
    """Return what `kmeans` returns, by scikit-learn's k-means++ and passes on the same subset."""
    mean = V.mean(axis=0, dtype=np.float64).astype(np.float32)
    V, w, rows = subset(V, w, k, seed)
    S, v = (V, w) if rows is None else (V[rows], w[rows])
    centres, _ = kmeans_plusplus(S, k, sample_weight=v, random_state=seed)
    centres, label = lloyd_by_sklearn(V, w, rows, centres)
    return centres + mean, label


@contextmanager
def replaced(value: Any, name: str, *modules: Any) -> Iterator[None]:
    """Put a value in place of a name of some modules."""
    before = [getattr(module, name) for module in modules]
    for module in modules:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, old in zip(modules, before, strict=True):
            setattr(module, name, old)


def recorded(function: Callable[..., Any], calls: list[Any]) -> Callable[..., Any]:
    """Return the function, which then appends its arguments to `calls`."""

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append((arguments, named))
        return function(*arguments, **named)

    return call


def pairs(name: str, mine: Callable[[], Any], library: Callable[[], Any], number: int) -> dict[str, Any]:
    """Return medians and ratios over pairs of both calls."""
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "library": []}
    for n in range(number):
        both = [("ours", mine), ("library", library)]
        for side, call in both if n % 2 == 0 else both[::-1]:
            with threadpool_limits(limits=1):
                begun, cpu = time.perf_counter(), time.process_time()
                call()
                times[side].append((time.perf_counter() - begun, time.process_time() - cpu))
    median = {
        side: [statistics.median(column) for column in zip(*values, strict=True)]
        for side, values in times.items()
    }
    ratios = [
        statistics.median(b / a for a, b in zip(one, other, strict=True))
        for one, other in zip(
            zip(*times["ours"], strict=True), zip(*times["library"], strict=True), strict=True
        )
    ]
    return {
        f"{name}_ours_s": round(median["ours"][0], 3),
        f"{name}_library_s": round(median["library"][0], 3),
        f"{name}_ratio": round(ratios[0], 2),
        f"{name}_ours_cpu_s": round(median["ours"][1], 3),
        f"{name}_library_cpu_s": round(median["library"][1], 3),
        f"{name}_ratio_cpu": round(ratios[1], 2),
    }


def heads(pool: data.Pool, confirmed: int, number: int, name: str) -> tuple[dict[str, Any], Any]:
    """Return the figures of L-BFGS for one training, and the trained head."""
    rows = pool.confirmed(confirmed, 0)
    X, y = np.asarray(pool.X[rows], np.float32), pool.y[rows].astype(np.int64)

    def train() -> Any:
        return train_head(X, y, class_embeddings=pool.text, logit_scale=data.LOGIT_SCALE, seed=0)

    def train_by_scipy() -> Any:
        with replaced(solve_by_scipy, "solve", paths, logistic):
            return train()

    calls: list[Any] = []
    with replaced(recorded(descent.solve, calls), "solve", paths, logistic):
        head = train().head
    other = train_by_scipy().head
    gaps = [_gap(*call) for call in calls]
    figures: dict[str, Any] = {
        f"{name}_problems": sum(len(arguments[1]) for arguments, _ in calls),
        # how much higher than ours the objective of scipy ends, and the other way round, relative
        f"{name}_objective_gap_most": float(f"{max(map(np.max, gaps)):.1e}"),
        f"{name}_objective_gap_least": float(f"{min(map(np.min, gaps)):.1e}"),
        f"{name}_accuracy_ours": round(float((score(head, pool.X).label == pool.y).mean()), 4),
        f"{name}_accuracy_library": round(float((score(other, pool.X).label == pool.y).mean()), 4),
    }

    def solve_all(solve: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: [solve(*arguments, **named) for arguments, named in calls]

    figures |= pairs(f"{name}_fit", solve_all(descent.solve), solve_all(solve_by_scipy), number)
    figures |= pairs(f"{name}_refit", train, train_by_scipy, number)
    return figures, head


def _gap(arguments: Any, named: Any) -> NDArray[np.float64]:
    """Return (P,) the relative difference of the objective of scipy's solutions from ours."""
    rows, problems = arguments
    wide = Rows(rows.Z.astype(np.float64), rows.B.astype(np.float64), rows.Y.astype(np.float64))
    ends = []
    for solve in (descent.solve, solve_by_scipy):
        points = solve(*arguments, **named)
        ends.append(
            [
                float(evaluate(W[None].astype(np.float64), b[None], wide, [problem]).loss[0])
                for (W, b), problem in zip(points, problems, strict=True)
            ]
        )
    mine, theirs = np.array(ends)
    return (theirs - mine) / np.maximum(np.abs(mine), 1.0)


def choices(pool: data.Pool, head: Any, confirmed: int, number: int, batch: int) -> dict[str, Any]:
    """Return the figures of k-means for one choice of images."""
    scores = score(head, pool.X)
    candidate = np.ones(len(pool.X), bool)
    rows = pool.confirmed(confirmed, 0)
    candidate[rows] = False
    given: dict[str, Any] = {
        "X": pool.X, "scores": scores, "candidate": candidate, "reserve": pool.reserve, "batch": batch,
        "cold": False, "seed": 0, "labelled_counts": np.bincount(pool.y[rows], minlength=pool.n_labels),
    }  # fmt: skip
    calls: list[Any] = []
    with replaced(recorded(ours.kmeans, calls), "kmeans", medoids):
        mix.choose_batch(**given)
    runs = []
    for (V, w, k, seed), _ in calls:
        V, w, part = subset(V, w, k, seed)
        S, v = (V, w) if part is None else (V[part], w[part])
        runs.append((V, w, part, ours._initial_centres(S, v, k, np.random.default_rng(seed))))

    def choose_by_sklearn() -> Any:
        with replaced(kmeans_by_sklearn, "kmeans", medoids):
            return mix.choose_batch(**given)

    def run_all(run: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: [run(*arguments) for arguments in runs]

    def cluster_all(kmeans: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: [kmeans(*arguments, **named) for arguments, named in calls]

    costs = [_inertia(runs, run) for run in (lloyd_by_ours, lloyd_by_sklearn)]
    figures: dict[str, Any] = {
        "kmeans_runs": len(runs),
        "kmeans_rows_median": int(np.median([len(V) for V, *_ in runs])),
        "kmeans_centres_median": int(np.median([len(centres) for *_, centres in runs])),
        "kmeans_inertia_library_over_ours": round(costs[1] / costs[0], 5),
    }
    figures |= pairs("lloyd", run_all(lloyd_by_ours), run_all(lloyd_by_sklearn), number)
    figures |= pairs("kmeans", cluster_all(ours.kmeans), cluster_all(kmeans_by_sklearn), number)
    figures |= pairs("choose", lambda: mix.choose_batch(**given), choose_by_sklearn, number)
    return figures


def _inertia(runs: Any, lloyd: Callable[..., Any]) -> float:
    """Return the weighted sum of squared distances to the centres over all runs."""
    total = 0.0
    for V, w, part, first in runs:
        centres, label = lloyd(V, w, part, first)
        total += float(w @ ((V - centres[label]) ** 2).sum(axis=1))
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 images, 200 confirmed labels, 3 pairs")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="where pools are kept between runs (2 GB)")
    parser.add_argument("--pairs", type=int, default=7)
    given = parser.parse_args()
    n, confirmed, batch = (20_000, 200, 300) if given.quick else (1_000_000, 1000, 2000)
    number = 3 if given.quick else given.pairs
    with tempfile.TemporaryDirectory(prefix="mekiki-solvers-") as temporary:
        folder = given.folder or Path(temporary)
        few = data.make(folder, n, 10)
        figures: dict[str, Any] = {"images": n, "confirmed": confirmed, "batch": batch, "pairs": number}
        of_heads, head = heads(few, confirmed, number, "labels10")
        figures |= of_heads | choices(few, head, confirmed, number, batch)
        many = 20 if given.quick else 100
        figures |= heads(data.make(folder, n // 10, many), confirmed, number, f"labels{many}")[0]
    figures |= {
        "load": round(os.getloadavg()[0], 1),
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    report(figures, given.json)


if __name__ == "__main__":
    main()
