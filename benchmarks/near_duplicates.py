"""Grouping of near-duplicates: seconds, memory and found pairs.

    python benchmarks/near_duplicates.py [--photos FOLDER] [--encoder NAME] [--quick] [--json PATH]

Random unit vectors of 512 dimensions, of which a tenth is like earlier ones (cosine 0.96 to 1),
are grouped at 0.95: exactly, and by cells as for more than 100,000 images. A later import of 1,000 images is
grouped against the groups that exist. With `--photos`, the photographs of a folder are embedded, and each
threshold of the product's survey is computed.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from benchmarks import harness  # noqa: E402
from workers.acquisition.near_duplicates import group_near_duplicates  # noqa: E402

THRESHOLD, DIM = 0.95, 512
THRESHOLDS = (0.999, 0.995, 0.99, 0.98, 0.97, 0.95, 0.93, 0.9)


def vectors(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return float16 vectors (n, DIM), and (n,) the row of which each is a near-duplicate, or −1."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, DIM)).astype(np.float32)
    source = np.full(n, -1)
    copies = np.sort(rng.choice(np.arange(n // 2, n), n // 10, replace=False))
    source[copies] = rng.choice(n // 2, len(copies), replace=False)
    noise = rng.uniform(0, 0.28, (len(copies), 1)).astype(np.float32)  # cosine 1 / √(1 + noise²)
    X[copies] = X[source[copies]] + noise * X[copies]
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float16), source


def peak_mb() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(n: int, method: str) -> dict[str, Any]:
    """Return the figures of one grouping of n images."""
    X, source = vectors(n)
    before, cpu = peak_mb(), time.process_time()
    limit = n if method == "exact" else 0
    groups = group_near_duplicates(X, THRESHOLD, exact_up_to=limit)
    cpu = time.process_time() - cpu
    copies = source >= 0
    known = groups.first.copy()
    known[-1000:] = -1
    known[np.isin(known, np.arange(n - 1000, n))] = -1
    later = time.process_time()
    again = group_near_duplicates(X, THRESHOLD, known=known, exact_up_to=limit)
    figures = {
        "cpu_seconds": round(cpu, 1),
        "extra_mb": round(peak_mb() - before),
        "found_share": round(float((groups.first[copies] == source[copies]).mean()), 4),
        "false_members": int((groups.first[~copies] != np.flatnonzero(~copies)).sum()),
        "later_1000_cpu_seconds": round(time.process_time() - later, 2),
        "later_1000_same_groups": bool((again.first == groups.first).all()),
    }
    return {f"{n}_{method}_{name}": value for name, value in figures.items()}


def photographs(folder: Path, encoder_name: str) -> dict[str, Any]:
    """Return the groups of a folder of photographs at each threshold of the survey."""
    from workers.encoders import load_encoder

    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".png", ".bmp"})
    encoder = load_encoder(encoder_name, device="cpu")
    parts = list(encoder.encode_stream((at, path) for at, path in enumerate(files)))
    by_file = {key: vector for part in parts for key, vector in zip(part.keys, part.vectors, strict=True)}
    X = np.stack([by_file[at] for at in sorted(by_file)])
    begin, figures = time.perf_counter(), {"photos": len(X)}
    for threshold in THRESHOLDS:
        sizes = np.bincount(group_near_duplicates(X, threshold).first)
        name = f"photos_{threshold}"
        figures[f"{name}_groups"] = int((sizes > 1).sum())
        figures[f"{name}_in_groups"] = int(sizes[sizes > 1].sum())
        figures[f"{name}_largest"] = int(sizes.max())
    return {**figures, "photos_seconds": round(time.perf_counter() - begin, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of photographs")
    parser.add_argument("--encoder", default="pocket")
    parser.add_argument("--sizes", type=int, nargs="*", default=[20_000, 100_000])
    parser.add_argument("--quick", action="store_true", help="10,000 vectors only")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    for n in [10_000] if given.quick else given.sizes:
        for method in ("exact", "cells"):
            figures |= measure(n, method)
    if given.photos:
        figures |= photographs(given.photos, given.encoder)
    harness.report(figures, given.json)


if __name__ == "__main__":
    main()
