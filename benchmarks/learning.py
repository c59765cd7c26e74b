"""Label efficiency: our head and acquisition beside the published ones.

    python benchmarks/learning.py [--photos FOLDER] [--cache FOLDER] [--seeds N]
                                  [--quick] [--json PATH] [--docs]
    python benchmarks/learning.py --detail [--textile FOLDER] ...

Every method gets the same pool, the same answers and, if it draws at random, the same images. All are
measured on a test part that neither acquisition nor training uses. Accuracy is weighted to the pool's mixture
of labels. With --detail, our head with and without the local detail is compared in place of the published
methods, also on the textile set of benchmarks/adaptation.py. --docs also writes the plots and the page
docs/benchmarks.md. The page is written from benchmarks/results/learning.json, so --json must name this file.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]
# One thread a process: two processes share the two cores.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from benchmarks.efficiency import curves, data, plots, summary  # noqa: E402

LABELS = (12, 25, 50, 100, 200, 400)
PER_LABEL = 240  # drawn pictures per label, 80 of them held out
CONDITIONS = ("balanced", "balanced + wrong", "imbalanced", "imbalanced + wrong")


def jobs(given: argparse.Namespace) -> Iterator[curves.Job]:
    """Yield every combination of data set, condition and seed to measure."""
    seeds = range(given.first_seed, given.first_seed + (2 if given.quick else given.seeds))
    labels = (10, 20) if given.quick else LABELS[:-1] if given.detail else LABELS
    per_label = 6 if given.quick else PER_LABEL
    sets: list[tuple[data.Data, tuple[str, ...]]] = []
    if "digits" in given.data:
        digits = data.digits(150 if given.quick else None, detail=given.detail)
        sets.append((digits, CONDITIONS[: 1 if given.quick else 2]))
    if "photographs" in given.data:
        if given.photos:
            sets.append((data.photographs(given.photos, given.cache, detail=given.detail), CONDITIONS[:2]))
        else:
            print("photographs: skipped, no --photos FOLDER was given")
    if given.textile and given.detail:
        textile = data.photographs(given.textile, given.cache, name="textile", detail=True)
        sets.append((textile, CONDITIONS[:2]))
    if "pictures" in given.data:
        drawn = data.pictures(data.picture_counts(per_label), given.cache, detail=given.detail)
        if not given.quick:
            sets.append((data.balanced(drawn, per_label), CONDITIONS[:2]))
        sets.append((drawn, CONDITIONS[3 if given.quick else 2 :]))
    for what, conditions in sets:
        for condition in conditions:
            for seed in seeds:
                yield curves.Job(what, condition, seed, labels)


def measure(todo: list[curves.Job], processes: int) -> list[dict[str, Any]]:
    """Return all curves, computed in the given number of processes."""
    begun, results = time.perf_counter(), []

    def report() -> None:
        passed = time.perf_counter() - begun
        print(f"\r{len(results)} of {len(todo)} runs, {passed:.0f} s", end="", flush=True, file=sys.stderr)

    if processes == 1:
        for job in todo:
            results.append(curves.run(job))
            report()
    else:
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            for done in as_completed([pool.submit(curves.run, job) for job in todo]):
                results.append(done.result())
                report()
    print(file=sys.stderr)
    return results


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a table for the terminal."""
    lines: list[str] = []
    key = None
    for row in rows:
        if (row["data"], row["condition"]) != key:
            key = (row["data"], row["condition"])
            lines.append(f"\n{row['data']}, {row['condition']} (all labels: {row['full_accuracy']:.1%})")
            lines.append(
                f"{'head + question':24}{'area':>8}{'behind ours':>26}{'to 95 %':>9}{'macro':>8}"
                f"{'nll':>7}{'ece':>7}{'s/round':>9}{'under zero-shot':>17}"
            )
        to = "–" if row["labels_to_95"] is None else f"{row['labels_to_95']:.0f}"
        behind = ""
        if "behind_ours" in row:
            behind = (
                f"{row['behind_ours']:+.4f} ({row['behind_ours_low']:+.4f}…{row['behind_ours_high']:+.4f})"
            )
        below = (
            f"{row['below_zero_shot']:+.3f} at {row['below_zero_shot_at']}"
            if "below_zero_shot" in row
            else ""
        )
        lines.append(
            f"{row['head'] + ' + ' + row['acquisition']:24}{row['area']:8.4f}{behind:>26}{to:>9}"
            f"{row['macro_area']:8.4f}{row['nll']:7.3f}{row['ece']:7.3f}"
            f"{row.get('seconds_per_round', 0.0):9.3f}{below:>17}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of photographs, one folder a class")
    parser.add_argument(
        "--detail", action="store_true", help="compare our head with and without local detail"
    )
    parser.add_argument("--textile", type=Path, help="the textile set, with --detail")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "mekiki-bench-learning",
        help="where embeddings are kept between runs",
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0, help="0 is reported; choose methods on others")
    parser.add_argument("--data", nargs="+", default=["digits", "photographs", "pictures"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--quick", action="store_true", help="two seeds, few images, 20 labels, one condition a data set"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--docs", action="store_true", help="write plots and docs/benchmarks.md (needs --json)"
    )
    given = parser.parse_args()
    if given.photos is not None and not str(given.photos).strip(". "):
        given.photos = None  # `make bench-learning` without PHOTOS
    if given.docs and not given.json:
        parser.error("the page is written from a file of figures: give --json PATH")
    if given.docs and given.detail:
        parser.error("--docs draws the published methods; benchmarks/write.py reads the figures of --detail")
    begun = time.perf_counter()
    todo = list(jobs(given))
    rows = summary.rows(measure(todo, 1 if given.quick else given.processes))
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(table(rows))
    print()
    if given.detail:
        print(summary.detail_table(rows))
    for target, met, figures in [] if given.detail else summary.verdicts(rows):
        print(f"{'met   ' if met else 'MISSED'}  {target}: {figures}")
    print(f"\n{time.perf_counter() - begun:.0f} s in all, {len(todo)} runs")
    if given.json:
        stamped = [{**row, "measured": when, "machine": machine} for row in rows]
        given.json.write_text(json.dumps(stamped, indent=1, ensure_ascii=False) + "\n")
    if given.docs:
        from benchmarks import write

        plots.write(rows, ROOT / "docs" / "images")
        write.main()


if __name__ == "__main__":
    main()
