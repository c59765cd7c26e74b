"""Accuracy and speed of `pocket+int8`, also on a processor without VNNI.

    python benchmarks/int8.py PHOTOS [--images N] [--emulated N] [--quick] [--json PATH]

PHOTOS is a folder with one folder per label. The variant is compared with the same encoder in fp32 (torch):
the cosines of the vectors, the accuracy of zero-shot by prompts from the folder names, and the accuracy of a
logistic regression on 60 labels drawn at random (mean of 5 draws). `…_ips` are images per second of the
network alone, on one thread.

If qemu-user is installed, ONNX Runtime runs the same file on an emulated Haswell (AVX2, no VNNI) and an
emulated Nehalem (no AVX2). `haswell_…` and `nehalem_…` compare those vectors with the vectors computed here.
`before_…` is the previous recipe, 8-bit weights without the reduced range, on the emulated Haswell.
"""

import argparse
import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

RUN = (
    "import sys, numpy, onnxruntime as o;"
    " s = o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider']);"
    "x = numpy.load(sys.argv[2]); numpy.save(sys.argv[3], numpy.concatenate("
    "[s.run(None, {'pixels': x[i:i + 8]})[0] for i in range(0, len(x), 8)]))"
)


def embedded(encoder: Any, pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the vectors and the images per second."""
    encoder.embed_pixels(pixels[:16])
    begun = time.perf_counter()
    parts = [encoder.embed_pixels(pixels[at : at + 16]) for at in range(0, len(pixels), 16)]
    return np.concatenate(parts), round(len(pixels) / (time.perf_counter() - begun), 1)


def probed(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy of a logistic regression on 60 random labels, mean of 5 draws.

    It is measured on all other images.
    """
    from sklearn.linear_model import LogisticRegression

    scores = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(labels))
        some, rest = order[:60], order[60:]
        model = LogisticRegression(C=30, max_iter=3000).fit(vectors[some], labels[some])
        scores.append(model.score(vectors[rest], labels[rest]))
    return round(float(np.mean(scores)), 4)


def emulated(file: Path, pixels: np.ndarray, model: str) -> np.ndarray:
    """Return the vectors of an ONNX file on an emulated processor."""
    with tempfile.TemporaryDirectory() as folder:
        given, output = Path(folder) / "in.npy", Path(folder) / "out.npy"
        np.save(given, pixels)
        command = ["qemu-x86_64", "-cpu", model, sys.executable, "-c", RUN]
        command += [str(file), str(given), str(output)]
        subprocess.run(command, check=True, capture_output=True)
        return np.load(output)


def previous_recipe(encoder: Any, folder: Path) -> Path:
    """Return the ONNX file of the previous recipe (int8 1)."""
    from onnxruntime import quantization

    from workers.encoders import onnx_tower

    real = quantization.quantize_static
    try:
        quantization.quantize_static = lambda *a, **k: real(*a, **k | {"reduce_range": False})
        with contextlib.redirect_stdout(io.StringIO()):
            onnx_tower._export(encoder, folder / "fp32.onnx")
            return onnx_tower._quantised(encoder, folder / "fp32.onnx", folder)
    finally:
        quantization.quantize_static = real


def measure(photos: Path, count: int, emulate: int, cache: Path) -> dict[str, Any]:
    """Return all figures."""
    import torch

    from workers.encoders import load_encoder
    from workers.hardware import processor

    torch.set_num_threads(1)
    files = sorted(path for path in photos.glob("*/*") if path.is_file())
    files = [files[at] for at in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    names, labels = np.unique([file.parent.name for file in files], return_inverse=True)
    plain = load_encoder("pocket", device="cpu")
    pixels = np.stack([plain.prepared(file) for file in files])
    prompts = plain.encode_texts([f"a photo of {name.replace('_', ' ')}" for name in names])
    figures: dict[str, Any] = {"images": len(files), "processor": processor()}
    vectors: dict[str, np.ndarray] = {}
    for variant in ("fp32", "onnx", "int8"):
        encoder = plain if variant == "fp32" else load_encoder(f"pocket+{variant}", cache_dir=cache)
        vectors[variant], figures[f"{variant}_ips"] = embedded(encoder, pixels)
        figures[f"{variant}_zero_shot"] = round(
            float(((vectors[variant] @ prompts.T).argmax(1) == labels).mean()), 4
        )
        figures[f"{variant}_probe"] = probed(vectors[variant], labels)
        if variant != "fp32":
            cosines = (vectors[variant] * vectors["fp32"]).sum(1)
            figures |= {
                f"{variant}_cosine_min": round(float(cosines.min()), 5),
                f"{variant}_cosine_mean": round(float(cosines.mean()), 5),
            }
    if not emulate or not shutil.which("qemu-x86_64"):
        return figures
    some = np.linspace(0, len(files) - 1, emulate).astype(int)
    figures["emulated_images"] = emulate
    tower = load_encoder("pocket+int8", cache_dir=cache).tower
    assert tower is not None
    for model in ("Haswell", "Nehalem"):
        cosines = (emulated(tower.file, pixels[some], model) * vectors["int8"][some]).sum(1)
        figures[f"{model.lower()}_cosine_min"] = round(float(cosines.min()), 6)
    before = emulated(previous_recipe(plain, cache), pixels[some], "Haswell")
    cosines = (before * vectors["fp32"][some]).sum(1)
    figures["before_haswell_cosine_min"] = round(float(cosines.min()), 3)
    figures["before_haswell_cosine_mean"] = round(float(cosines.mean()), 3)
    return figures


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--quick", action="store_true", help="300 images, 8 of them emulated")
    parser.add_argument("--images", type=int, default=1800)
    parser.add_argument("--emulated", type=int, default=24)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    count, emulate = (300, 8) if arguments.quick else (arguments.images, arguments.emulated)
    with tempfile.TemporaryDirectory() as cache:
        figures = measure(arguments.photos, count, emulate, Path(cache))
    for name, value in figures.items():
        print(f"{name:>28}  {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
