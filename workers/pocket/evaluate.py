"""Measure `pocket`: `python -m workers.pocket.evaluate --photos FOLDER [--json PATH] [--card]`.

`make pocket-eval PHOTOS=FOLDER` does the same. On drawn pictures, it measures zero-shot accuracy among eight
states, in English and in Japanese. The pairs of part and defect are never drawn for training, and the capture
conditions are not used in training. If a folder of photographs with one folder per class is given, it also
measures zero-shot accuracy by prompts in both languages, and linear probes. Every figure stands beside that
of an untrained network of the same shape.

The photographs are never used for training or tuning. Every choice was made on drawn pictures of another seed
than the seed measured here. `--choosing WEIGHTS` gives the figures of that other seed, also for weights in
training.
"""

import argparse
import dataclasses
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workers.encoders import Encoder, load_encoder
from workers.pocket.card import write_card
from workers.pocket.pictures import (
    SUBJECTS,
    TRAINING,
    UNSEEN,
    Conditions,
    Spec,
    choose,
    draw,
    states_of,
)

SEED, PER_LABEL, SIDE = 20261125, 100, 200
CHOOSING_SEED = 11  # the recipe was chosen on pictures of this seed; their figures are not reported
CANDIDATES = ("scratch", "crack", "dent", "chip", "hole", "stain", "rust", "pits")
# The prompt wording was fixed before any figure was measured.
TEMPLATES = {"en": ("a photo of a {0} with {1}", "{1}"), "ja": ("{1}のある{0}の写真", "{1}")}
PARTS = {
    "en": {
        "surface": "metal surface", "washer": "washer", "nut": "nut", "bolt": "bolt", "gear": "gear",
        "bearing": "bearing", "cap": "cap", "bracket": "bracket", "shaft": "shaft", "connector": "connector",
        "board": "circuit board", "casting": "casting", "tile": "ceramic tile",
    },
    "ja": {
        "surface": "金属表面", "washer": "ワッシャー", "nut": "ナット", "bolt": "ボルト", "gear": "歯車",
        "bearing": "ベアリング", "cap": "キャップ", "bracket": "ブラケット", "shaft": "シャフト",
        "connector": "コネクタ", "board": "プリント基板", "casting": "鋳物", "tile": "タイル",
    },
}  # fmt: skip
FLAWS = {
    "en": {
        "scratch": "a scratch", "crack": "a crack", "dent": "a dent", "chip": "a chipped edge",
        "hole": "a hole", "stain": "a stain", "rust": "rust", "pits": "pits",
    },
    "ja": {
        "scratch": "傷", "crack": "割れ", "dent": "打痕", "chip": "欠け",
        "hole": "穴", "stain": "汚れ", "rust": "錆", "pits": "ピット",
    },
}  # fmt: skip
# Class names of the NEU folders, for the same templates with "a steel surface". Other folders use their own
# names.
CLASSES = {
    "en": {
        "crazing": "crazing",
        "inclusion": "inclusions",
        "patches": "patches",
        "pitted_surface": "pits",
        "rolled-in_scale": "rolled-in scale",
        "scratches": "scratches",
    },
    "ja": {
        "crazing": "網目状の細かいひび割れ",
        "inclusion": "介在物",
        "patches": "斑",
        "pitted_surface": "ピット",
        "rolled-in_scale": "スケール",
        "scratches": "傷",
    },
}
STEEL = {"en": "steel surface", "ja": "鋼板"}
DRAWS = 5  # random draws of the labelled images in each probe


def part_pictures(
    per_label: int, seed: int, *, held_out: bool, conditions: Conditions
) -> tuple[list[Image.Image], list[Spec]]:
    """Return ``per_label`` pictures of parts in every candidate state, and their specifications.

    With ``held_out`` the pairs of part and state are those that training never draws, without it those that
    it draws.
    """
    rng = np.random.default_rng([seed, 5])
    specs = []
    for state in CANDIDATES:
        subjects = sorted(s for s in SUBJECTS if s != "surface" and state in states_of(s, held_out=held_out))
        for number in range(per_label):
            specs.append(choose(rng, subject=subjects[number % len(subjects)], state=state))
    return [Image.fromarray(draw(spec, SIDE, conditions)) for spec in specs], specs


def unseen_pictures(per_label: int = PER_LABEL, seed: int = SEED) -> tuple[list[Image.Image], list[Spec]]:
    """Draw the pictures for figure (a): pairs that training never draws, under unseen conditions."""
    return part_pictures(per_label, seed, held_out=True, conditions=UNSEEN)


def choosing_figures(weights: Path, per_label: int = PER_LABEL) -> dict[str, float]:
    """Return zero-shot accuracy on pictures of the choosing seed, by which a recipe is chosen.

    The figures are separate for drawn and held-out pairs, training and unseen conditions, and both languages.
    """
    from workers.pocket import model

    encoder = dataclasses.replace(load_encoder("pocket", device="cpu"), model=model.load(weights))
    measured = {}
    for held_out, conditions in itertools.product((False, True), (TRAINING, UNSEEN)):
        pictures, specs = part_pictures(per_label, CHOOSING_SEED, held_out=held_out, conditions=conditions)
        vectors = encoder.encode_images(pictures).vectors
        pairs = "held_out" if held_out else "drawn"
        for language in ("en", "ja"):
            right = zero_shot(encoder, vectors, specs, language)
            measured[f"{pairs}_pairs_{conditions.name}_conditions_{language}"] = right
    return measured


def directions(encoder: Encoder, thing: str, flaws: Sequence[str], language: str) -> np.ndarray:
    """Return the (k, d) unit class embedding of each flaw on a thing, the mean over the templates."""
    rows = []
    for flaw in flaws:
        mean = encoder.encode_texts([t.format(thing, flaw) for t in TEMPLATES[language]]).mean(0)
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def zero_shot(encoder: Encoder, vectors: np.ndarray, specs: Sequence[Spec], language: str) -> float:
    """Return the share of pictures whose true state is the nearest of the eight candidates."""
    flaws = [FLAWS[language][state] for state in CANDIDATES]
    texts = {
        subject: directions(encoder, PARTS[language][subject], flaws, language)
        for subject in {spec.subject for spec in specs}
    }
    right = [
        CANDIDATES[int((texts[spec.subject] @ vector).argmax())] == spec.state
        for vector, spec in zip(vectors, specs, strict=True)
    ]
    return float(np.mean(right))


def probe(
    vectors: np.ndarray, labels: np.ndarray, share: float | int, seeds: Sequence[int] = tuple(range(DRAWS))
) -> float:
    """Return the accuracy of a logistic regression on a stratified share of the labels, mean over seeds.

    ``share`` may also be a number of labels. The other images are the test set. Regularization is chosen by
    cross-validation inside the labels, in the same way for every network.
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
    """Return the control: an encoder of the same shape with random weights."""
    from workers.pocket import model

    return dataclasses.replace(encoder, name="untrained", model=model.build(seed).eval())


def photographs(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Return the files of a folder of folders, and the folder name of each file."""
    files = sorted(file for file in folder.glob("*/*") if file.is_file() and not file.name.startswith("."))
    return files, np.asarray([file.parent.name for file in files])


def photographs_zero_shot(encoder: Encoder, vectors: np.ndarray, labels: np.ndarray, language: str) -> float:
    """Return the share of photographs whose true class is the nearest of all classes."""
    names = sorted(set(labels))
    flaws = [CLASSES[language].get(name, name.replace("_", " ")) for name in names]
    texts = directions(encoder, STEEL[language], flaws, language)
    return float(np.mean(np.asarray(names)[(vectors @ texts.T).argmax(1)] == labels))


def speed(encoder: Encoder, pictures: list[Image.Image]) -> dict[str, float]:
    """Return the seconds to load the encoder, and the pictures embedded per second, on this machine.

    Torch is imported before the clock starts.
    """
    begun = time.perf_counter()
    load_encoder("pocket", device="cpu")
    loaded = time.perf_counter() - begun
    encoder.encode_images(pictures[:64])
    begun = time.perf_counter()
    encoder.encode_images(pictures)
    return {"load_s": loaded, "images_per_s": len(pictures) / (time.perf_counter() - begun)}


def figures(photos: Path | None) -> dict[str, Any]:
    """Return all figures of the model card."""
    from workers.pocket.model import WEIGHTS

    encoder = load_encoder("pocket", device="cpu")
    control = untrained(encoder)
    pictures, specs = unseen_pictures()
    result: dict[str, Any] = {
        "digest": encoder.digest,
        "megabytes": WEIGHTS.stat().st_size / 1e6,
        **speed(encoder, pictures),
        "unseen_pictures": len(pictures),
        "candidates": len(CANDIDATES),
    }
    for name, network in (("", encoder), ("_untrained", control)):
        vectors = network.encode_images(pictures).vectors
        for language in ("en", "ja"):
            result[f"zero_shot_{language}{name}"] = zero_shot(network, vectors, specs, language)
    if photos:
        files, labels = photographs(photos)
        result["photos"] = len(files)
        for name, network in (("pocket", encoder), ("untrained", control)):
            batch = network.encode_images(files)
            known = labels[batch.ok_indices]
            for language in ("en", "ja"):
                result[f"photos_zero_shot_{language}_{name}"] = photographs_zero_shot(
                    network, batch.vectors, known, language
                )
            for name_of_share, share in (("10pc", 0.1), ("300", 300), ("80pc", 0.8)):
                result[f"photos_probe_{name_of_share}_{name}"] = probe(batch.vectors, known, share)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--photos", type=Path, help="a folder of photographs, one folder a class")
    parser.add_argument(
        "--card", action="store_true", help="write the figures into the card (needs --photos)"
    )
    parser.add_argument(
        "--choosing",
        type=Path,
        metavar="WEIGHTS",
        help="only the figures a recipe is chosen by, of these weights",
    )
    chosen = parser.parse_args()
    if chosen.card and (chosen.choosing or not chosen.photos):
        parser.error("the card states figures on photographs, of the bundled weights: give --photos FOLDER")
    measured = choosing_figures(chosen.choosing) if chosen.choosing else figures(chosen.photos)
    for name, value in measured.items():
        print(f"{name:32} {value:.3f}" if isinstance(value, float) else f"{name:32} {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps(measured, indent=2) + "\n")
    if chosen.card:
        write_card(measured)


if __name__ == "__main__":
    main()
