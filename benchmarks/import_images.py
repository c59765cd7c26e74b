"""Speed of import: a zip of 200×200 JPEGs through the service that the worker calls.

    python benchmarks/import_images.py [--quick] [--images N] [--json PATH]

Budget (design, section 8): at least 200 images a second on 2 cores, memory flat in the number of images. The
database is a fresh embedded PostgreSQL with its ordinary, durable settings. Pictures are drawn here, all
different, about 10 kB. `peak_rss_mb` is this process's highest memory without the database, and `grown_mb` is
its growth during the second half of the import.
"""

import argparse
import io
import resource
import sys
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import fresh_platform, report  # noqa: E402


def rss_mb() -> float:
    """Return this process's peak memory so far, in MB (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def draw(count: int, path: Path) -> None:
    """Write a zip of `count` different pictures of a grained metal surface."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    grain = rng.normal(0, 14, (600, 600))
    shade = np.linspace(90, 160, 200)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            y, x = rng.integers(0, 400, 2)
            pixels = grain[y : y + 200, x : x + 200] + shade[None, :] + rng.normal(0, 6, (200, 200))
            out = io.BytesIO()
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGB").save(
                out, "JPEG", quality=80
            )
            archive.writestr(f"line/{i:06d}.jpg", out.getvalue())


def measure(count: int, home: Path) -> dict[str, float]:
    """Import the zip into a new dataset and return the figures."""

    from mekiki.accounts.models import User
    from mekiki.datasets import services
    from mekiki.datasets.models import ImportBatch

    user = User.objects.create_user("benchmark", may_create_datasets=True)
    dataset = services.create_dataset(name="Benchmark", user=user)
    source = home / "images.zip"
    draw(count, source)
    services.import_folder(dataset=dataset, path=source, user=user)
    half: list[float] = []

    def progress(done: int, total: int | None) -> None:
        if done >= count // 2 and not half:
            half.append(rss_mb())

    begun = time.perf_counter()
    batch = services.run_import(batch=ImportBatch.objects.get(), progress=progress)
    seconds = time.perf_counter() - begun
    if (batch.added, batch.rejected) != (count, 0):
        raise SystemExit(f"Not all was imported: {batch.added} of {count}, {batch.rejected} refused.")
    return {
        "images": count,
        "images_per_s": round(count / seconds, 1),
        "peak_rss_mb": round(rss_mb(), 1),
        "grown_mb": round(rss_mb() - half[0], 1),
    }


def main() -> None:
    """Set up, measure, print, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="600 images instead of 10,000")
    parser.add_argument("--images", type=int, default=0, help="how many")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    count = arguments.images or (600 if arguments.quick else 10_000)

    with fresh_platform() as home:
        figures = measure(count, home)
    report(figures, arguments.json)


if __name__ == "__main__":
    main()
