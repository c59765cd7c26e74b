"""Pools with a weak and a good head, frozen, whose true labels are known."""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.efficiency import data as sources
from benchmarks.efficiency.data import Data
from benchmarks.efficiency.methods import FLOOR, HEADS, Fitted, zero_shot
from workers.acquisition.mix import choose_batch
from workers.heads.scoring import Scores

AUDIT_SHARE = 0.15
PER_LABEL = 600  # drawn pictures of each label
WEAK, GOOD = 60, 300  # answers, audits included
BATCH = 60


@dataclass(frozen=True)
class Population:
    """Images without a decision, by rank of confidence, and the audit sample so far."""

    data: str
    head: str  # "weak" or "good"
    seed: int
    confidence: NDArray[np.float64]  # (m,) descending
    wrong: NDArray[np.bool_]  # (m,) whether the head is wrong
    audited_confidence: NDArray[np.float64]  # (a,)
    audited_right: NDArray[np.bool_]  # (a,)
    answers: int  # given before the certificate

    @property
    def pool(self) -> int:
        """Images of the pool: those without a decision and those that have one."""
        return len(self.wrong) + self.answers


@dataclass(frozen=True)
class Round:
    """The state of a replay after a batch of answers. All arrays have one entry for each image."""

    labelled: NDArray[np.bool_]  # by people
    audited: NDArray[np.bool_]
    reserve: NDArray[np.bool_]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]


def replay(data: Data, seed: int, budget: int, batch: int, head: str = "ours") -> Iterator[Round]:
    """Yield the rounds of a replay: choose a batch as the product does, answer it, train a head."""
    n = len(data.y)
    rng = np.random.default_rng([seed, 31])
    reserve = rng.random(n) < AUDIT_SHARE
    labelled, audited = np.zeros(n, bool), np.zeros(n, bool)
    fitted: Fitted | None = zero_shot(data)
    while labelled.sum() < budget:
        train = np.flatnonzero(labelled & ~audited)
        choice = choose_batch(
            X=data.X,
            scores=None if fitted is None else scores_of(fitted, data),
            candidate=~labelled,
            reserve=reserve,
            batch=min(batch, budget - int(labelled.sum())),
            audit_fraction=AUDIT_SHARE,
            labelled_counts=np.bincount(data.y[train], minlength=data.n_labels),
            seed=1000 * seed + int(labelled.sum()),
            cold=not len(train),
        )
        if not len(choice):
            return
        labelled[choice.index] = True
        audited[choice.index[choice.stream == "audit"]] = True
        train = np.flatnonzero(labelled & ~audited)
        fitted = HEADS[head](data, train, data.y[train], seed)
        scores = scores_of(fitted, data)
        yield Round(
            labelled.copy(), audited.copy(), reserve, scores.label.astype(np.int64),
            scores.confidence.astype(np.float64),
        )  # fmt: skip


def scores_of(fitted: Fitted, data: Data) -> Scores:
    """Return the scores of any head on all images."""
    p = np.asarray(fitted.predict_proba(data.X), np.float64)
    at = np.arange(len(p))
    best = p.argmax(axis=1)
    rest = p.copy()
    rest[at, best] = -1
    second = rest.argmax(axis=1)
    entropy = -(p * np.log(np.maximum(p, FLOOR))).sum(axis=1)
    first_p, second_p = p[at, best].astype(np.float32), p[at, second].astype(np.float32)
    return Scores(
        best.astype(np.int32), second.astype(np.int32), first_p, second_p, first_p - second_p,
        entropy.astype(np.float32),
    )  # fmt: skip


def populations(data: Data, seed: int) -> list[Population]:
    """Return the pool after few and after many answers of one replay."""
    rounds = {int(now.labelled.sum()): now for now in replay(data, seed, min(GOOD, len(data.y) // 2), BATCH)}
    counts = sorted(rounds)
    return [
        _population(data, "weak", seed, rounds[counts[0]]),
        _population(data, "good", seed, rounds[counts[-1]]),
    ]


def _population(data: Data, head: str, seed: int, now: Round) -> Population:
    waiting = np.flatnonzero(~now.labelled)
    order = waiting[np.argsort(-now.confidence[waiting], kind="stable")]
    audited = np.flatnonzero(now.audited)
    return Population(
        data.name,
        head,
        seed,
        now.confidence[order],
        now.predicted[order] != data.y[order],
        now.confidence[audited],
        now.predicted[audited] == data.y[audited],
        int(now.labelled.sum()),
    )


def distinct(data: Data) -> Data:
    """Return the data without images that occur twice; a dataset of the product holds each once."""
    _, first = np.unique(data.X, axis=0, return_index=True)
    rows = np.sort(first)
    return replace(data, X=data.X[rows], y=data.y[rows])


def imbalanced(data: Data) -> Data:
    """Return a pool whose most common label has 50 times as many images as the rarest."""
    sizes = np.round(np.bincount(data.y).min() * sources.shares(data.n_labels)).astype(int)
    rows = np.concatenate([np.flatnonzero(data.y == label)[:size] for label, size in enumerate(sizes)])
    return replace(data, name="pictures 1:50", X=data.X[rows], y=data.y[rows])


def textile(wheel: Path, cache: Path, say: Callable[[str], Any] = print) -> Data:
    """Return the textile images of the PyPI package `conformal-clip-data`, embedded by `pocket`.

    wheel: the file that `pip download conformal-clip-data --no-deps` writes. Labels: no defect, local
    defect, global defect (the folders nominal, local, global).
    """
    from PIL import Image

    from workers.encoders import load_encoder
    from workers.heads.zero_shot import make_class_embeddings

    encoder = load_encoder("pocket", device="cpu")
    names = ("nominal", "local", "global")
    with zipfile.ZipFile(wheel) as archive:
        files = sorted(
            name
            for name in archive.namelist()
            if name.lower().endswith((".jpg", ".png")) and any(f"/{label}/" in name for label in names)
        )
        y = np.array([next(i for i, label in enumerate(names) if f"/{label}/" in f) for f in files])

        def embed() -> tuple[NDArray[Any], NDArray[Any]]:
            say(f"embedding {len(files)} textile images …")
            vectors = []
            for start in range(0, len(files), 128):
                pictures = []
                for name in files[start : start + 128]:
                    with archive.open(name) as stream:
                        pictures.append(Image.open(stream).convert("RGB"))
                vectors.append(encoder.encode_images(pictures).vectors)
            return np.concatenate(vectors), y

        digest = hashlib.sha256("\n".join(files).encode()).hexdigest()
        X, y = sources._cached(cache, f"textile-{encoder.digest}-{digest}", embed)
    prompts = [
        "a photo of fabric without defects",
        "a photo of fabric with a local defect",
        "a photo of fabric with a global defect",
    ]
    text = make_class_embeddings(encoder.encode_texts(prompts), np.arange(3), 3)
    return Data("textile", X, y, text, encoder.logit_scale, 3)
