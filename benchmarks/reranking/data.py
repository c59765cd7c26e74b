"""A generated pool of any size: clustered unit vectors in a float16 file, like that of the mirror."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIM = 512
LOGIT_SCALE = 100.0
MODES = 12  # looks per label: a combination of line, camera and light
COPIES = 0.1  # share of images that are near-copies of another, like bursts of photographs
APART_LABELS, APART_LOOKS, NOISE, VAGUE = 0.17, 0.3, 0.7, 0.08
_BLOCK = 50_000


@dataclass(frozen=True)
class Pool:
    """n images of L labels. The file is written once and mapped; only the confirmed rows are copied."""

    X: NDArray[np.float16]  # (n, 512) a read-only memory map
    y: NDArray[np.int32]  # (n,) true labels
    text: NDArray[np.float32]  # (L, 512) unit rows: class embeddings near the labels, as prompts give
    reserve: NDArray[np.bool_]  # (n,) a fifth of the images, drawn by key, for audits

    @property
    def n_labels(self) -> int:
        return len(self.text)

    def first(self, n: int) -> "Pool":
        """Return the first n images, which are a random sample."""
        return Pool(self.X[:n], self.y[:n], self.text, self.reserve[:n])

    def confirmed(self, count: int, seed: int) -> NDArray[np.int64]:
        """Return (count,) confirmed rows outside the reserve, in ascending order."""
        rows = np.random.default_rng([seed, count]).permutation(np.flatnonzero(~self.reserve))[:count]
        return np.sort(rows)


def make(folder: Path, n: int, labels: int, seed: int = 0) -> Pool:
    """Return the pool; write its file if it is not there.

    An image is the sum of four parts: a common vector (as of real encoders), vectors of its label and of its
    look, and noise. The energy of the noise falls along the axes as 1/i, so that most of it lies in about a
    hundred of 512 dimensions. Frequencies fall as 1/√rank for labels and as 1/rank for looks within a label.
    A tenth of the images are near-copies of an image shortly before. A class embedding is the vector of a
    label with noise of the same size.
    """
    rng = np.random.default_rng([seed, labels])
    spectrum = (1.0 / np.sqrt(1.0 + np.arange(DIM))).astype(np.float32)
    spectrum /= np.linalg.norm(spectrum)
    cone = rng.standard_normal(DIM).astype(np.float32) / np.sqrt(DIM)
    label_at = rng.standard_normal((labels, DIM)).astype(np.float32) * spectrum * APART_LABELS
    look_at = rng.standard_normal((labels, MODES, DIM)).astype(np.float32) * spectrum * APART_LOOKS
    text = label_at + rng.standard_normal(label_at.shape).astype(np.float32) * spectrum * VAGUE
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    often = 1.0 / np.sqrt(1.0 + np.arange(labels))
    y = rng.choice(labels, n, p=often / often.sum()).astype(np.int32)
    look_often = 1.0 / (1.0 + np.arange(MODES))
    look = rng.choice(MODES, n, p=look_often / look_often.sum()).astype(np.int32)
    reserve = rng.random(n) < 0.2
    copied = rng.random(n) < COPIES
    copied[::_BLOCK] = False
    back = rng.integers(1, 6, n)
    file = folder / f"vectors-{n}-{labels}-{seed}.f16"
    size = n * DIM * 2
    source = np.arange(n)
    for i in np.flatnonzero(copied):  # in order, so that a copy of a copy gets the label of the first image
        source[i] = source[max(i - back[i], i - i % _BLOCK)]
    y, look = y[source], look[source]
    if not file.exists() or file.stat().st_size != size:
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        with partial.open("wb") as out:
            for part in _blocks(n):
                rows = np.arange(part.start, part.stop)
                noise = np.random.default_rng([seed, labels, part.start]).standard_normal(
                    (len(rows), DIM), np.float32
                )
                noise *= spectrum
                V = cone + label_at[y[rows]] + look_at[y[rows], look[rows]] + NOISE * noise
                twin = source[rows] != rows
                V[twin] = V[source[rows[twin]] - part.start] + 0.02 * noise[twin]
                V /= np.linalg.norm(V, axis=1, keepdims=True)
                out.write(V.astype(np.float16).tobytes())
        partial.rename(file)
    return Pool(np.memmap(file, np.float16, "r", shape=(n, DIM)), y, text, reserve)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK))
