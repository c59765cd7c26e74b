"""Re-ranking: refit the head, score every image again, choose the next 2,000 images.

    python benchmarks/rerank.py [--quick] [--json PATH] [--docs] [--folder FOLDER] [--repeats N] [--no-peers]

Budget: a million cached 512-d embeddings, 10 labels, 1,000 confirmed: < 5 s in all, re-scoring < 1 s. The
pool is generated (benchmarks/reranking/data.py) and mapped from a float16 file, like that of the mirror. The
figures are medians of --repeats runs. A step of more than half a minute is run once, and the row states it.
`*_cpu_s` are processor seconds of all threads, which other programs disturb less than the clock. `grown_mb`
is the largest growth of the process's own memory during the step, without mapped files. The floor is the time
to read all bytes of the pool once and multiply them with the labels, measured in the same run.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

import numpy as np  # noqa: E402

from benchmarks.reranking import data, measures, peers  # noqa: E402
from workers.acquisition.mix import choose_batch  # noqa: E402
from workers.heads.scoring import score  # noqa: E402
from workers.heads.train import train_head  # noqa: E402

BATCH = 2000
LONG = 30.0  # seconds; a longer call is not repeated
STRATEGIES = ("margin", "entropy", "least_confidence", "k_center", "typiclust", "random")


def repeated(call: Callable[[int], Any], repeats: int) -> tuple[measures.Taken, Any, int]:
    """Return (median, last value, number of runs) of call(number of the repeat)."""
    runs = []
    for number in range(repeats):
        run, value = measures.taken(lambda number=number: call(number))  # type: ignore[misc]
        runs.append(run)
        if run.seconds > LONG:
            break
    return measures.median(runs), value, len(runs)


def rerank(pool: data.Pool, confirmed: int, repeats: int, batch: int) -> tuple[dict[str, Any], Any]:
    """Return one row of figures, and the input for choosing by other strategies."""
    rows = pool.confirmed(confirmed, 0)
    X, y = np.asarray(pool.X[rows], np.float32), pool.y[rows].astype(np.int64)
    refit, training, often = repeated(
        lambda number: train_head(
            X, y, class_embeddings=pool.text, logit_scale=data.LOGIT_SCALE, seed=number
        ),
        repeats,
    )
    head = training.head
    rescore, scores, _ = repeated(lambda _number: score(head, pool.X), repeats)
    candidate = np.ones(len(pool.X), bool)
    candidate[rows] = False
    given = {
        "X": pool.X, "candidate": candidate, "reserve": pool.reserve, "batch": batch, "cold": False,
        "labelled_counts": np.bincount(y, minlength=pool.n_labels),
    }  # fmt: skip
    chosen, choice, _ = repeated(lambda number: choose_batch(scores=scores, seed=number, **given), repeats)
    row = {
        "kind": "rerank",
        "images": len(pool.X),
        "dims": pool.X.shape[1],
        "labels": pool.n_labels,
        "confirmed": confirmed,
        "refit_s": round(refit.seconds, 3),
        "rescore_s": round(rescore.seconds, 3),
        "choose_s": round(chosen.seconds, 3),
        "total_s": round(refit.seconds + rescore.seconds + chosen.seconds, 3),
        "refit_cpu_s": round(refit.cpu, 3),
        "rescore_cpu_s": round(rescore.cpu, 3),
        "choose_cpu_s": round(chosen.cpu, 3),
        "refit_grown_mb": round(refit.grown_mb),
        "rescore_grown_mb": round(rescore.grown_mb),
        "choose_grown_mb": round(chosen.grown_mb),
        "chosen": len(choice),
        "repeats": often if often < repeats else repeats,
        "accuracy": round(float((scores.label == pool.y).mean()), 4),
        **measures.rescore_floor(pool.X, pool.n_labels),
    }
    active = round(0.85 * batch * 0.75)  # the part that is not allocated by predicted class
    shortlist = min(25 * active, len(pool.X) // 10)
    groups = max(2, round(active**0.5))
    row |= measures.choose_floor(pool.X, shortlist, min(shortlist, max(20_000, 4 * active)), active, groups)
    return row, (scores, given)


def kinds(pool: data.Pool, confirmed: int, repeats: int, held: Any) -> list[dict[str, Any]]:
    """Return one row per strategy with the seconds to choose, on the same scores."""
    scores, given = held
    rows = []
    for strategy in (*STRATEGIES, "cold start"):
        how = {"cold": True} if strategy == "cold start" else {"strategy": strategy}
        run, _, often = repeated(
            lambda number, how=how: choose_batch(  # type: ignore[misc]
                scores=scores, seed=number, **{**given, **how}
            ),
            repeats,
        )
        rows.append(
            {
                "kind": "acquisition",
                "strategy": strategy,
                "images": len(pool.X),
                "labels": pool.n_labels,
                "confirmed": confirmed,
                "choose_s": round(run.seconds, 3),
                "choose_cpu_s": round(run.cpu, 3),
                "choose_grown_mb": round(run.grown_mb),
                "repeats": often,
            }
        )
    return rows


def beside(folder: Path, n: int, labels: int, sizes: list[int], batch: int) -> list[dict[str, Any]]:
    """Return rows of the peers, each measured on larger and larger pools until one takes over a minute."""
    place = (folder, n, labels)
    rows: list[dict[str, Any]] = []

    def tell(peer: str, size: int, result: Any) -> bool:
        row: dict[str, Any] = {"kind": "peer", "peer": peer, "images": size, "labels": labels}
        if isinstance(result, str):
            row["stopped"] = result
        elif isinstance(result, float):
            row["choose_s"] = round(result, 3)
        else:
            row |= {name: round(value, 3) for name, value in result.items()}
        rows.append(row)
        print(f"  {peer}, {size:,}: {result}", file=sys.stderr, flush=True)
        return (
            not isinstance(result, str) and max(v for k, v in row.items() if k.endswith("_s")) <= peers.LIMIT
        )

    confirmed = min(1000, n // 20)
    tell("LogisticRegression", n, peers.alone("LogisticRegression", place, n, confirmed, 0))
    why = peers.absent()
    if why:
        print(why)
        return rows
    for name in peers.QUERIES:
        for size in sizes:
            if not tell(name, size, peers.alone(name, place, size, min(confirmed, size // 20), batch, 0)):
                break
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a table for the terminal."""
    lines = [
        f"{'images':>10}{'labels':>8}{'confirmed':>11}{'refit s':>10}{'re-score s':>12}"
        f"{'choose s':>10}{'in all s':>10}"
        f"{'floor: re-score':>24}{'choose':>9}{'memory MB':>11}"
    ]
    for r in rows:
        if r["kind"] == "rerank":
            floor = f"{r['floor_read_s']:.2f} read + {r['floor_product_s']:.2f} ×"
            most = max(r[f"{step}_grown_mb"] for step in ("refit", "rescore", "choose"))
            lines.append(
                f"{r['images']:>10,}{r['labels']:>8}{r['confirmed']:>11,}"
                f"{r['refit_s']:>10.2f}{r['rescore_s']:>12.2f}"
                f"{r['choose_s']:>10.2f}{r['total_s']:>10.2f}{floor:>24}{r['choose_floor_s']:>9.2f}{most:>11}"
            )
            cpu = [r[f"{step}_cpu_s"] for step in ("refit", "rescore", "choose")]
            lines.append(f"{'processor':>29}{cpu[0]:>10.2f}{cpu[1]:>12.2f}{cpu[2]:>10.2f}{sum(cpu):>10.2f}")
    for r in rows:
        if r["kind"] == "acquisition":
            lines.append(
                f"choose by {r['strategy']:17} {r['choose_s']:8.2f} s ({r['choose_cpu_s']:.2f} of "
                f"processor), {r['choose_grown_mb']} MB"
            )
        elif r["kind"] == "peer":
            figures = r.get("stopped") or ", ".join(f"{k} {v}" for k, v in r.items() if k.endswith("_s"))
            lines.append(f"{r['peer']:22}{r['images']:>10,} images: {figures}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="6,000 images at most, 10 and 20 labels, one repeat, small peers",
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="where pools are kept between runs (2 GB)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument(
        "--docs", action="store_true", help="write plot and docs/benchmarks.md (needs --json)"
    )
    given = parser.parse_args()
    if given.docs and not given.json:
        parser.error("the page is written from a file of figures: give --json PATH")
    repeats = 1 if given.quick else given.repeats
    n = 6_000 if given.quick else 1_000_000
    few, many = (100, 300) if given.quick else (1000, 20_000)
    more = 20 if given.quick else 100  # labels
    batch = 300 if given.quick else BATCH
    folder = given.folder or Path(tempfile.mkdtemp(prefix="mekiki-rerank-"))
    rows: list[dict[str, Any]] = []

    def keep(new: list[dict[str, Any]]) -> None:
        when = datetime.now(UTC).strftime("%Y-%m-%d")
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        load = round(os.getloadavg()[0], 1)
        rows.extend({**row, "load": load, "measured": when, "machine": machine} for row in new)
        print(f"{rows[-1]}", file=sys.stderr, flush=True)
        if given.json:  # write after each row, so that an interrupted run keeps its figures
            given.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")

    try:
        ten = data.make(folder, n, 10)
        row, held = rerank(ten, few, repeats, batch)
        keep([row])
        keep(kinds(ten, few, repeats, held))
        del held
        for part in (n // 10, 3 * n // 10):
            keep([rerank(ten.first(part), few, repeats, batch)[0]])
        wide = data.make(folder, n, more)
        keep([rerank(wide, few, repeats, batch)[0]])
        if not given.no_peers:
            sizes = [300] if given.quick else [5_000, 20_000, 100_000, 300_000, 1_000_000]
            keep(beside(folder, n, 10, sizes, 20 if given.quick else batch))
        keep([rerank(ten, many, repeats, batch)[0]])
        keep([rerank(wide, many, repeats, batch)[0]])
    finally:
        if not given.folder:
            for file in folder.glob("*"):
                file.unlink()
            folder.rmdir()
    print(table(rows))
    if given.docs:
        from benchmarks import write
        from benchmarks.reranking import plots

        plots.write(rows, ROOT / "docs" / "images")
        write.main()


if __name__ == "__main__":
    main()
