"""The figures of `pocket`: `python -m workers.pocket.evaluate [--json PATH] [--photos FOLDER]`.

On drawn pictures: zero-shot among eight states, in English and in Japanese, for pairs of part and defect that
training never drew, under capture conditions that training never used. On photographs in a folder a class, when
given: linear probes against an untrained network of the same shape. The photographs are never trained or tuned
on: every choice was made on the drawn pictures.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workers.encoders import Encoder, load_encoder
from workers.pocket.pictures import HELD_OUT, UNSEEN, Spec, choose, draw

SEED, EACH, SIDE = 11, 60, 200
CANDIDATES = ("scratch", "crack", "dent", "chip", "hole", "stain", "rust", "pits")
# One plain wording for everything, fixed before any figure was seen.
TEMPLATES = {"en": ("a photo of a {0} with {1}", "{1}"), "ja": ("{1}のある{0}の写真", "{1}")}
PARTS = {
    "en": {"washer": "washer", "nut": "nut", "bolt": "bolt", "gear": "gear", "bearing": "bearing", "cap": "cap", "bracket": "bracket", "shaft": "shaft"},
    "ja": {"washer": "ワッシャー", "nut": "ナット", "bolt": "ボルト", "gear": "歯車", "bearing": "ベアリング", "cap": "キャップ", "bracket": "ブラケット", "shaft": "シャフト"},
}  # fmt: skip
FLAWS = {
    "en": {"scratch": "a scratch", "crack": "a crack", "dent": "a dent", "chip": "a chipped edge", "hole": "a hole", "stain": "a stain", "rust": "rust", "pits": "pits"},
    "ja": {"scratch": "傷", "crack": "割れ", "dent": "打痕", "chip": "欠け", "hole": "穴", "stain": "汚れ", "rust": "錆", "pits": "ピット"},
}  # fmt: skip


def unseen_pictures(each: int = EACH, seed: int = SEED) -> tuple[list[Image.Image], list[Spec]]:
    """``each`` pictures of every candidate state, only pairs held out of training, unseen conditions."""
    rng = np.random.default_rng([seed, 5])
    specs = []
    for state in CANDIDATES:
        subjects = sorted(subject for subject, held in HELD_OUT if held == state)
        for number in range(each):
            specs.append(choose(rng, subject=subjects[number % len(subjects)], state=state))
    return [Image.fromarray(draw(spec, SIDE, UNSEEN)) for spec in specs], specs


def directions(encoder: Encoder, subject: str, language: str) -> np.ndarray:
    """(8, d) unit text direction of each candidate state of a subject: mean over the templates."""
    rows = []
    for state in CANDIDATES:
        texts = [t.format(PARTS[language][subject], FLAWS[language][state]) for t in TEMPLATES[language]]
        mean = encoder.encode_texts(texts).mean(0)
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def zero_shot(encoder: Encoder, vectors: np.ndarray, specs: Sequence[Spec], language: str) -> float:
    """Share of pictures whose own state is the nearest of the eight candidates."""
    texts = {subject: directions(encoder, subject, language) for subject in {spec.subject for spec in specs}}
    right = [
        CANDIDATES[int((texts[spec.subject] @ vector).argmax())] == spec.state
        for vector, spec in zip(vectors, specs, strict=True)
    ]
    return float(np.mean(right))


def probe(
    vectors: np.ndarray, labels: np.ndarray, share: float | int, seeds: Sequence[int] = (0, 1, 2)
) -> float:
    """Accuracy on the rest of a logistic regression on a stratified share (or number) of labels, mean over seeds.

    Regularisation by cross-validation inside the labels, the same for every network.
    """
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = []
    for seed in seeds:
        parts = train_test_split(vectors, labels, train_size=share, stratify=labels, random_state=seed)
        known, rest, known_labels, rest_labels = parts
        regression = LogisticRegressionCV(
            Cs=[1e-4, 1e-3, 1e-2, 0.1, 1.0],
            cv=3,
            max_iter=400,
            scoring="accuracy",
            use_legacy_attributes=False,
        )
        model = make_pipeline(StandardScaler(), regression)
        model.fit(known, known_labels)
        scores.append(model.score(rest, rest_labels))
    return float(np.mean(scores))


def untrained(encoder: Encoder, seed: int = SEED) -> Encoder:
    """The control: the same shape with random weights."""
    from workers.pocket import model

    return dataclasses.replace(encoder, name="untrained", model=model.build(seed).eval())


def photographs(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Files of a folder of folders, and the name of the folder each lies in."""
    files = sorted(file for file in folder.glob("*/*") if file.is_file() and not file.name.startswith("."))
    return files, np.asarray([file.parent.name for file in files])


def figures(photos: Path | None) -> dict[str, Any]:
    """Everything the card states."""
    encoder = load_encoder("pocket", device="cpu")
    pictures, specs = unseen_pictures()
    vectors = encoder.encode_images(pictures).vectors
    control = untrained(encoder)
    result: dict[str, Any] = {
        "digest": encoder.digest,
        "unseen_pictures": len(pictures),
        "candidates": len(CANDIDATES),
        "zero_shot_en": zero_shot(encoder, vectors, specs, "en"),
        "zero_shot_ja": zero_shot(encoder, vectors, specs, "ja"),
    }
    if photos:
        files, labels = photographs(photos)
        for name, network in (("pocket", encoder), ("untrained", control)):
            batch = network.encode_images(files)
            known = labels[batch.ok_indices]
            for told, share in (("10pc", 0.1), ("300", 300), ("80pc", 0.8)):
                result[f"photos_probe_{told}_{name}"] = probe(batch.vectors, known, share)
        result["photos"] = len(files)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--photos", type=Path, help="a folder of photographs, one folder a class")
    chosen = parser.parse_args()
    found = figures(chosen.photos)
    for name, value in found.items():
        print(f"{name:28} {value:.3f}" if isinstance(value, float) else f"{name:28} {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
