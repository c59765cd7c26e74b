"""Coverage of the audit intervals: how often they hold the truth they are about.

    python benchmarks/coverage.py [--photos FOLDER] [--replays N] [--quick] [--json PATH]

The third data set, `digits_x10`, holds each digit ten times with noise, so that people label a small part of
the pool only.

Replays the loop of choosing, answering and training on labelled vectors, and computes after each round what
the product would state. Four truths are compared with the intervals:

- `reserve`: the accuracy of the head on all images of the audit reserve. The audit sample is a random sample
  of the reserve, and no image of it was trained on: this is what the audit estimate is about.
- `all_images`: the accuracy of the head on all images of the pool, those it was trained on included. Readers
  take the audit estimate for this figure.
- `without_decision`: the accuracy of the head on the images without a decision.
- `pool`: the share of right labels of the pool, people's labels where there are some and the machine's
  elsewhere. `workers.evaluation.certificates.pool_accuracy` estimates this.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402

from benchmarks import harness  # noqa: E402
from benchmarks.certification.populations import Round, distinct, replay  # noqa: E402
from benchmarks.efficiency import data as sources  # noqa: E402
from workers.evaluation.certificates.pool import pool_accuracy  # noqa: E402
from workers.evaluation.metrics import accuracy, wilson  # noqa: E402

BUDGET, BATCH = 300, 60
COPIES, NOISE = 10, 0.05  # of each digit in the larger pool; standard deviation of the noise


def enlarged(data: sources.Data) -> sources.Data:
    """Return a pool of COPIES noisy versions of each image."""
    rng = np.random.default_rng(5)
    X = np.repeat(data.X, COPIES, axis=0)
    X = X + rng.normal(0, NOISE, X.shape).astype(np.float32)
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    return replace(data, name=f"{data.name}_x{COPIES}", X=X, y=np.repeat(data.y, COPIES))


def measure(data: sources.Data, seed: int, head: str) -> list[dict[str, Any]]:
    """Return the figures of each round of one replay."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return [figures(data, now) for now in replay(data, seed, BUDGET, BATCH, head)]


def figures(data: sources.Data, now: Round) -> dict[str, Any]:
    """Return estimates and truths after one round."""
    right = now.predicted == data.y
    audited = np.flatnonzero(now.audited)
    estimate = accuracy(data.y[audited], now.predicted[audited])
    pool = pool_accuracy(
        now.confidence[audited],
        right[audited],
        now.confidence[~now.labelled],
        int(now.labelled.sum()),
    )
    truths = {
        "reserve": right[now.reserve].mean(),
        "all_images": right.mean(),
        "without_decision": right[~now.labelled].mean(),
        "pool": (right | now.labelled).mean(),
    }
    return {
        "answers": int(now.labelled.sum()),
        "audits": len(audited),
        "estimate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "pool_estimate": pool.value,
        "pool_low": pool.low,
        "pool_high": pool.high,
        **{f"truth_{name}": float(value) for name, value in truths.items()},
    }


def summarise(name: str, rounds: list[dict[str, Any]], replays: int) -> dict[str, Any]:
    """Return flat figures of all rounds of one data set."""
    shares: dict[str, Any] = {f"{name}_replays": replays, f"{name}_rounds": len(rounds)}
    for truth in ("reserve", "without_decision", "all_images", "pool"):
        held = sum(r["low"] <= r[f"truth_{truth}"] <= r["high"] for r in rounds)
        shares[f"{name}_audit_interval_holds_{truth}"] = held / len(rounds)
    held = sum(r["pool_low"] <= r["truth_pool"] <= r["pool_high"] for r in rounds)
    low, high = wilson(held, len(rounds))
    shares[f"{name}_pool_interval_begins_below_pool"] = sum(
        r["pool_low"] <= r["truth_pool"] for r in rounds
    ) / len(rounds)
    shares[f"{name}_pool_interval_holds_pool"] = held / len(rounds)
    shares[f"{name}_pool_interval_holds_pool_interval"] = (
        f"{low:.3f} to {high:.3f}, if rounds were independent"
    )
    for answers in sorted({r["answers"] for r in rounds}):
        mine = [r for r in rounds if r["answers"] == answers]

        def mean(key: str, mine: list[dict[str, Any]] = mine) -> float:
            return float(np.mean([r[key] for r in mine]))

        share = np.mean([r["low"] <= r["truth_reserve"] <= r["high"] for r in mine])
        pool = np.mean([r["pool_low"] <= r["truth_pool"] <= r["pool_high"] for r in mine])
        shares[f"{name}_after_{answers}"] = (
            f"estimate {mean('estimate'):.1%} of reserve {mean('truth_reserve'):.1%}, held {share:.1%}; "
            f"all images {mean('truth_all_images'):.1%}; pool estimate {mean('pool_estimate'):.1%} of "
            f"{mean('truth_pool'):.1%}, held {pool:.1%}; {mean('audits'):.0f} audits, widths "
            f"{mean('high') - mean('low'):.3f} and {mean('pool_high') - mean('pool_low'):.3f}"
        )
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of photographs, one folder a class")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "mekiki-bench-learning",
        help="where embeddings are kept between runs",
    )  # fmt: skip
    parser.add_argument("--replays", type=int, default=200)
    parser.add_argument("--head", choices=("plain", "ours"), default="plain")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="4 replays of 500 digits, alone and ten times")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    replays = 4 if given.quick else given.replays
    sets = [sources.digits(500 if given.quick else None)]
    sets.append(enlarged(sets[0]))
    if given.photos and not given.quick:
        sets.append(distinct(sources.photographs(given.photos, given.cache)))
    result: dict[str, Any] = {"head": given.head}
    with ProcessPoolExecutor(given.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for data in sets:
            jobs = [pool.submit(measure, data, seed, given.head) for seed in range(replays)]
            result |= summarise(data.name, [row for job in jobs for row in job.result()], replays)
    harness.report(result, given.json)


if __name__ == "__main__":
    main()
