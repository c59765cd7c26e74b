"""Accuracy by labels per class, with and without the detail descriptor, on several kinds of images.

    python benchmarks/adaptation.py [--textile FOLDER] [--photos FOLDER] [--draws N] [--no-control]
                                    [--quick] [--json PATH]

FOLDER has one folder per class. Textile: `conformal_clip/data/textile_images` of the PyPI package
conformal-clip-data (arXiv 2501.12596). A set whose folder is not given is left out. Digits (8 × 8 pixels,
enlarged to 64) and drawn pictures are made here.

Each row is a head trained as in the product (`workers.heads.train.train_head`) on the same labels, drawn at
random, so many per class. All other images are the test. `detail alone` is a logistic regression on the
standardised descriptor. The controls have an untrained network of the shape of `pocket`.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.efficiency.data import BANK_SEED, SUBJECTS  # noqa: E402
from workers.encoders import Encoder, detail_vector, load_encoder  # noqa: E402
from workers.encoders.decode import open_picture  # noqa: E402
from workers.heads.train import train_head  # noqa: E402
from workers.heads.zero_shot import make_class_embeddings  # noqa: E402
from workers.pocket.evaluate import untrained  # noqa: E402

PER_CLASS = (10, 30, 50, 100)
DRAWN_PER_LABEL = 160
# The photographs are those of the published benchmark, so the prompts say what the folders are.
PROMPT = "a photo of {}"


@dataclass(frozen=True)
class Labelled:
    """Images with their labels, and the prompts of each label; no prompts: the labels have no words."""

    name: str
    images: list[Any]  # paths or PIL images
    y: NDArray[np.int64]
    labels: list[str]
    prompts: list[list[str]]


def of_folder(name: str, folder: Path, per_class: int | None) -> Labelled:
    """Return the images of a folder with one folder per class, at most `per_class` of each."""
    labels = sorted(path.name for path in folder.iterdir() if path.is_dir())
    images, y = [], []
    for number, label in enumerate(labels):
        files = sorted(path for path in (folder / label).iterdir() if path.is_file())[:per_class]
        images += files
        y += [number] * len(files)
    words = [label.replace("_", " ").replace("-", " ") for label in labels]
    return Labelled(name, images, np.array(y), labels, [[PROMPT.format(word)] for word in words])


def digits(limit: int | None) -> Labelled:
    """Return handwritten digits as images of 64 × 64 pixels."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    images = [
        Image.fromarray((pixels * 15).astype(np.uint8))
        .resize((64, 64), Image.Resampling.BICUBIC)
        .convert("RGB")
        for pixels in data.images[:limit]
    ]
    return Labelled("digits", images, data.target[:limit].astype(np.int64), [str(i) for i in range(10)], [])


def pictures(per_label: int) -> Labelled:
    """Return drawn inspection pictures in unseen capture conditions."""
    from PIL import Image

    from workers.pocket.pictures import UNSEEN, choose, draw
    from workers.pocket.sample import LABELS

    rng = np.random.default_rng(BANK_SEED)
    y = np.repeat(np.arange(len(LABELS)), per_label)
    images = []
    for label in y:
        spec = choose(rng, subject=str(rng.choice(SUBJECTS)), state=LABELS[label].name)
        images.append(Image.fromarray(draw(spec, 208, UNSEEN)))
    return Labelled(
        "pictures", images, y, [label.name for label in LABELS], [list(label.english) for label in LABELS]
    )


def read_detail(images: list[Any]) -> NDArray[np.float32]:
    """Return the detail descriptors (n, k) of images."""
    vectors = []
    for image in images:
        with open_picture(image, side=None) as picture:
            vectors.append(detail_vector(picture))
    return np.stack(vectors)


def class_embeddings(data: Labelled, encoder: Encoder) -> NDArray[np.float32]:
    """Return (L, d), zeros without prompts."""
    if not data.prompts:
        return np.zeros((len(data.labels), encoder.dim), np.float32)
    texts = [text for prompts in data.prompts for text in prompts]
    owners = np.repeat(np.arange(len(data.labels)), [len(prompts) for prompts in data.prompts])
    return make_class_embeddings(encoder.encode_texts(texts), owners, len(data.labels))


def draw_rows(y: NDArray[np.int64], per_class: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (training rows, the other rows)."""
    rng = np.random.default_rng([seed, per_class])
    chosen = [rng.permutation(np.flatnonzero(y == label))[:per_class] for label in np.unique(y)]
    rows = np.sort(np.concatenate(chosen))
    return rows, np.setdiff1d(np.arange(len(y)), rows)


def half(values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values as they are stored: in half precision."""
    return values.astype(np.float16).astype(np.float32)


def measure(
    data: Labelled, encoders: dict[str, Encoder], sizes: tuple[int, ...], draws: int
) -> list[dict[str, Any]]:
    """Return one result per row of the table and number of labels."""
    begun = time.process_time()
    detail = half(read_detail(data.images))
    detail_ms = (time.process_time() - begun) / len(data.images) * 1000
    inputs: dict[str, tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any], float]] = {}
    for name, encoder in encoders.items():
        X, T = half(encoder.encode_images(data.images).vectors), class_embeddings(data, encoder)
        inputs[name] = X, None, T, encoder.logit_scale
        inputs[f"{name} + detail"] = X, detail, T, encoder.logit_scale
    inputs["detail alone"] = detail, None, np.zeros((len(data.labels), detail.shape[1]), np.float32), 1.0
    results = []
    for per_class in sizes:
        if np.bincount(data.y).min() <= per_class:
            continue
        for name, (X, D, T, scale) in inputs.items():
            recalls, accuracies, seconds = [], [], []
            for seed in range(draws):
                train, test = draw_rows(data.y, per_class, seed)
                values = X
                if name == "detail alone":
                    deviation = np.maximum(X[train].std(axis=0), 0.1)
                    values = (X - X[train].mean(axis=0)) / deviation
                started = time.process_time()
                head = train_head(
                    values[train],
                    data.y[train],
                    class_embeddings=T,
                    logit_scale=scale,
                    seed=seed,
                    detail=None if D is None else D[train],
                ).head
                seconds.append(time.process_time() - started)
                if D is not None and head.dim > X.shape[1]:
                    values = np.concatenate([X, D], axis=1)
                right = head.predict(values[test]) == data.y[test]
                accuracies.append(right.mean())
                recalls.append([right[data.y[test] == label].mean() for label in range(len(data.labels))])
            recall = np.mean(recalls, axis=0)
            results.append(
                {
                    "set": data.name,
                    "images": len(data.images),
                    "per_class": per_class,
                    "row": name,
                    "accuracy": round(float(np.mean(accuracies)), 4),
                    "lowest": round(float(np.min(accuracies)), 4),
                    "macro_recall": round(float(recall.mean()), 4),
                    "recall": {
                        label: round(float(value), 4)
                        for label, value in zip(data.labels, recall, strict=True)
                    },
                    "fit_cpu_seconds": round(float(np.mean(seconds)), 2),
                    "detail_cpu_ms": round(detail_ms, 2),
                }
            )
            print_result(results[-1])
    return results


def print_result(result: dict[str, Any]) -> None:
    recalls = " ".join(f"{label} {value:.1%}" for label, value in result["recall"].items())
    print(
        f"{result['set']:9} {result['per_class']:4} {result['row']:20} accuracy {result['accuracy']:.1%} "
        f"macro recall {result['macro_recall']:.1%}  fit {result['fit_cpu_seconds']:.1f} s  {recalls}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--textile", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--no-control", action="store_true", help="leave out the untrained network")
    parser.add_argument("--quick", action="store_true", help="few images, one draw")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    limit = 25 if given.quick else None
    sets = [
        of_folder(name, folder, limit)
        for name, folder in (("textile", given.textile), ("photos", given.photos))
        if folder is not None
    ]
    sets += [digits(150 if given.quick else None), pictures(12 if given.quick else DRAWN_PER_LABEL)]
    pocket = load_encoder("pocket", device="cpu")
    encoders = {"pocket": pocket} | ({} if given.no_control else {"untrained": untrained(pocket)})
    sizes, draws = ((10,), 1) if given.quick else (PER_CLASS, given.draws)
    begun = time.perf_counter()
    results = [result for data in sets for result in measure(data, encoders, sizes, draws)]
    if given.json:
        figures = {
            "draws": draws,
            "seconds": round(time.perf_counter() - begun),
            "results": results,
        }
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
