"""Benchmark data: vectors, true labels, class embeddings, and the test rows of each seed."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The drawn subjects. All eight labels can occur on them.
SUBJECTS = ("surface", "bracket", "cap")
BANK_SEED = 404
IMBALANCE = 50  # ratio of the most common to the rarest label in the imbalanced pool


@dataclass(frozen=True)
class Data:
    """Images of one kind. Only the simulated reviewer and the test use the true labels."""

    name: str
    X: NDArray[np.float32]  # (n, d)
    y: NDArray[np.int64]  # (n,)
    text: NDArray[np.float32] | None  # (L, d) unit rows, or None if the labels have no words
    logit_scale: float
    n_labels: int
    detail: NDArray[np.float32] | None = None  # (n, k) detail descriptors, where they are compared

    def read_by(self, head: Any, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what a head reads of these rows: the embedding, or [embedding ; detail] (m, head.dim)."""
        if self.detail is None or getattr(head, "dim", 0) <= self.X.shape[1]:
            return self.X[rows]
        return np.concatenate([self.X[rows], self.detail[rows]], axis=1)

    @property
    def class_embeddings(self) -> NDArray[np.float32]:
        """Return (L, d) class embeddings, zeros without text."""
        return np.zeros((self.n_labels, self.X.shape[1]), np.float32) if self.text is None else self.text


@dataclass(frozen=True)
class Split:
    """Rows of one seed. Test rows are never asked, trained on or used for acquisition."""

    pool: NDArray[np.int64]
    test: NDArray[np.int64]
    # (len(test),) sums to one: the weight of each test row in the pool's mixture
    weight: NDArray[np.float64]
    answers: NDArray[np.int64]  # (len(pool),) the reviewer's answer for each row of the pool


def split(
    data: Data, seed: int, *, imbalanced: bool = False, wrong: float = 0.0, test_share: float = 1 / 3
) -> Split:
    """Return a stratified test part, the pool, and the answers of the simulated reviewer.

    With `imbalanced` the pool keeps all rows of the most common label and fewer and fewer of the others, down
    to one in 50. The test part does not change but gets weights, so that rare labels are measured on as many
    rows as common ones. Accuracy is always that of the pool's mixture. `wrong` is the share of the pool whose
    answer is drawn from the other labels; it is the same for every method.
    """
    rng = np.random.default_rng([seed, 17])
    pool_parts, test_parts = [], []
    sizes = np.bincount(data.y, minlength=data.n_labels)
    kept = shares(data.n_labels) if imbalanced else np.ones(data.n_labels)
    least = int(sizes.min() * test_share)
    for label in range(data.n_labels):
        rows = rng.permutation(np.flatnonzero(data.y == label))
        held = least if imbalanced else round(len(rows) * test_share)
        test_parts.append(rows[:held])
        rest = rows[held:]
        most = int(sizes.max() - least) if imbalanced else len(rest)
        pool_parts.append(rest[: max(2, round(most * kept[label]))])
    pool = rng.permutation(np.concatenate(pool_parts))
    test = np.concatenate(test_parts)
    pool_share = np.bincount(data.y[pool], minlength=data.n_labels) / len(pool)
    test_count = np.bincount(data.y[test], minlength=data.n_labels)
    weight = (pool_share / test_count)[data.y[test]]
    answers = data.y[pool].copy()
    lied = rng.random(len(pool)) < wrong
    answers[lied] = (answers[lied] + rng.integers(1, data.n_labels, int(lied.sum()))) % data.n_labels
    return Split(pool, test, weight / weight.sum(), answers)


def shares(n_labels: int) -> NDArray[np.float64]:
    """Return (L,) shares that fall geometrically from 1 to 1/50."""
    return IMBALANCE ** -np.linspace(0.0, 1.0, n_labels)


def digits(limit: int | None = None, *, detail: bool = False) -> Data:
    """Return handwritten digits: 8 × 8 grey values, normalised to length one, without class embeddings.

    Their detail is that of the image enlarged to 64 × 64 pixels.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    X = digits.data[:limit] / np.linalg.norm(digits.data[:limit], axis=1, keepdims=True)
    data = Data("digits", X.astype(np.float32), digits.target[:limit].astype(np.int64), None, 100.0, 10)
    if not detail:
        return data
    images = (Image.fromarray((pixels * 15).astype(np.uint8)) for pixels in digits.images[:limit])
    large = [image.resize((64, 64), Image.Resampling.BICUBIC) for image in images]
    return replace(data, detail=_detail(large))


def photographs(
    folder: Path, cache: Path, say: Any = print, *, name: str = "photographs", detail: bool = False
) -> Data:
    """Return photographs of a folder with one folder per class, embedded by `pocket`.

    Text comes from the folder names in the templates of the model card.
    """
    from workers.encoders import load_encoder
    from workers.pocket.evaluate import CLASSES, PHOTO_SUBJECT, class_embeddings_of
    from workers.pocket.evaluate import photographs as listed

    encoder = load_encoder("pocket", device="cpu")
    files, names = listed(folder)
    labels = sorted(set(names))
    described = hashlib.sha256(
        "\n".join(f"{file} {file.stat().st_size}" for file in files).encode()
    ).hexdigest()

    def embed() -> tuple[NDArray[Any], NDArray[Any]]:
        say(f"embedding {len(files)} photographs …")
        batch = encoder.encode_images(files)
        return batch.vectors, np.searchsorted(labels, names[batch.ok_indices])

    X, y = _cached(cache, f"photographs-{encoder.digest}-{described}", embed)
    Z = None
    if detail:
        say(f"computing the detail of {len(files)} photographs …")
        Z, _ = _cached(cache, f"photographs-{_detail_version()}-{described}", lambda: (_detail(files), y))
    flaws = [CLASSES["en"].get(name, name.replace("_", " ").replace("-", " ")) for name in labels]
    text = class_embeddings_of(encoder, PHOTO_SUBJECT["en"], flaws, "en").astype(np.float32)
    return Data(name, X, y, text, encoder.logit_scale, len(labels), Z)


def pictures(counts: Sequence[int], cache: Path, say: Any = print, *, detail: bool = False) -> Data:
    """Return drawn inspection pictures in unseen capture conditions; text comes from the sample prompts.

    ``counts`` (8,) holds the number of pictures of each label of the sample dataset, `good` first.
    """
    from workers.encoders import load_encoder
    from workers.heads.zero_shot import make_class_embeddings
    from workers.pocket.pictures.maker import generator_digest
    from workers.pocket.sample import LABELS

    encoder = load_encoder("pocket", device="cpu")

    def compute(what: Callable[[list[Any]], NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        from PIL import Image

        from workers.pocket.pictures import UNSEEN, choose, draw

        say(f"drawing and reading {sum(counts)} pictures …")
        rng = np.random.default_rng(BANK_SEED)
        y = np.repeat(np.arange(len(LABELS)), counts)
        vectors = []
        for start in range(0, len(y), 256):
            drawn = []
            for label in y[start : start + 256]:
                subject = str(rng.choice(SUBJECTS))
                spec = choose(rng, subject=subject, state=LABELS[label].name)
                drawn.append(Image.fromarray(draw(spec, 208, UNSEEN)))
            vectors.append(what(drawn))
        return np.concatenate(vectors), y

    def embed() -> tuple[NDArray[Any], NDArray[Any]]:
        return compute(lambda drawn: encoder.encode_images(drawn).vectors)

    key = hashlib.sha256(
        json.dumps([list(counts), SUBJECTS, BANK_SEED, generator_digest()]).encode()
    ).hexdigest()
    X, y = _cached(cache, f"pictures-{encoder.digest}-{key}", embed)
    Z = None
    if detail:
        Z, _ = _cached(cache, f"pictures-{_detail_version()}-{key}", lambda: compute(_detail))
    prompts = [prompt for label in LABELS for prompt in label.english]
    owner = np.repeat(np.arange(len(LABELS)), [len(label.english) for label in LABELS])
    text = make_class_embeddings(encoder.encode_texts(prompts), owner, len(LABELS))
    return Data("pictures", X, y, text, encoder.logit_scale, len(LABELS), Z)


def picture_counts(per_label: int) -> list[int]:
    """Return the number of pictures of each label for both pools: `each`, or more for the imbalanced one.

    The imbalanced pool holds roughly 2/3 as many images as the balanced one, so its most common label has 2.5
    × `each`.
    """
    held = per_label // 3
    imbalanced = np.ceil(2.5 * per_label * shares(8)).astype(int)
    return [int(max(per_label, held + count)) for count in imbalanced]


def balanced(data: Data, per_label: int) -> Data:
    """Return the first `each` rows of every label."""
    rows = np.concatenate([np.flatnonzero(data.y == label)[:per_label] for label in range(data.n_labels)])
    Z = None if data.detail is None else data.detail[rows]
    return Data(data.name, data.X[rows], data.y[rows], data.text, data.logit_scale, data.n_labels, Z)


def _detail(images: Sequence[Any]) -> NDArray[np.float32]:
    """Return the detail descriptors (n, k) of paths or PIL images, as they are stored: in half precision."""
    from workers.encoders import detail_vector
    from workers.encoders.decode import open_picture

    vectors = []
    for image in images:
        with open_picture(image, side=None) as picture:
            vectors.append(detail_vector(picture))
    return np.stack(vectors).astype(np.float16).astype(np.float32)


def _detail_version() -> str:
    from workers.encoders import detail

    return f"detail-{detail.VERSION}"


def _cached(folder: Path, key: str, make: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return (X, y) from the folder; create and store them if they are missing.

    A half-written file is never read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
    if not file.exists():
        X, y = make()
        draft = file.with_suffix(".draft.npz")
        np.savez(draft, X=X.astype(np.float32), y=y.astype(np.int64))
        draft.replace(file)
    with np.load(file) as arrays:
        return arrays["X"], arrays["y"]
