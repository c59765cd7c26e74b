"""Speed and memory of a manifest of a million rows, through the service that the worker calls.

    python benchmarks/import_manifest.py [--quick] [--rows N] [--format csv|jsonl|parquet] [--json PATH]

Budget: memory flat in the number of rows. The rows name 1,000 different small pictures again and again, with
metadata and a label, so that the manifest is measured and not the decoding. `grown_mb` is the growth of this
process's highest memory after the first tenth of the rows. The database is a fresh embedded PostgreSQL.
"""

import argparse
import csv
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402

PICTURES = 1000
COLUMNS = ("file", "line", "camera", "lot", "label")


def rss_mb() -> float:
    """Return this process's peak memory so far, in MB (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def draw(folder: Path) -> None:
    """Write the pictures."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(PICTURES):
        pixels = rng.integers(0, 256, (24, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04d}.png")


def rows(count: int) -> Iterator[list[str]]:
    """Yield the rows."""
    chosen = random.Random(0)
    for n in range(count):
        i = n % PICTURES if n < PICTURES else chosen.randrange(PICTURES)
        yield [
            f"pictures/{i:04d}.png",
            f"line{i % 4}",
            f"cam{i % 9}",
            f"lot{i // 50}",
            "ok" if i % 3 else "ng",
        ]


def write(path: Path, count: int) -> None:
    """Write a manifest in the format of its name."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, pa.string()) for name in COLUMNS])
        with pq.ParquetWriter(path, schema) as out:
            part: list[list[str]] = []
            for row in rows(count):
                part.append(row)
                if len(part) == 50_000:
                    out.write_table(pa.table(list(map(list, zip(*part, strict=True))), schema=schema))
                    part = []
            if part:
                out.write_table(pa.table(list(map(list, zip(*part, strict=True))), schema=schema))
        return
    with path.open("w", newline="") as file:
        if path.suffix == ".jsonl":
            for row in rows(count):
                file.write(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n")
        else:
            csv.writer(file).writerows([COLUMNS])
            csv.writer(file).writerows(rows(count))


def measure(count: int, kind: str, home: Path) -> dict[str, float]:
    """Import the manifest into a new dataset and return the figures."""
    from mekiki.accounts.models import User
    from mekiki.datasets import services
    from mekiki.datasets.models import ImportBatch
    from mekiki.datasets.options import ImportOptions

    user = User.objects.create_user("benchmark", may_create_datasets=True)
    dataset = services.create_dataset(name="Benchmark", user=user)
    draw(home / "pictures")
    manifest = home / f"list.{kind}"
    write(manifest, count)
    options = ImportOptions(label_use="train")
    services.import_folder(dataset=dataset, path=manifest, user=user, options=options)
    early: list[float] = []

    def progress(done: int, total: int | None) -> None:
        if done >= count // 10 and not early:
            early.append(rss_mb())

    begun = time.perf_counter()
    batch = services.run_import(batch=ImportBatch.objects.get(), progress=progress)
    seconds = time.perf_counter() - begun
    if (batch.added, batch.duplicates, batch.rejected) != (PICTURES, count - PICTURES, 0):
        raise SystemExit(f"Not all was imported: {batch.added}, {batch.duplicates}, {batch.rejected}.")
    return {
        "rows": count,
        "manifest_mb": round(manifest.stat().st_size / 1e6, 1),
        "rows_per_s": round(count / seconds, 1),
        "peak_rss_mb": round(rss_mb(), 1),
        "grown_mb": round(rss_mb() - early[0], 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="20,000 rows")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=["csv", "jsonl", "parquet"], default="csv")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    count = 20_000 if args.quick else args.rows
    with fresh_platform() as home:
        figures = measure(count, args.format, home)
    report(figures, args.json)


if __name__ == "__main__":
    main()
