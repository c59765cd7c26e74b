"""A made-up pool of any size: clustered unit vectors in a float16 file, like the mirror's."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIM = 512
LOGIT_SCALE = 100.0
MODES = 12  # looks a label has: one line, one camera, one light
COPIES = 0.1  # the share of images that are near-copies of another, as bursts of photographs are
APART_LABELS, APART_LOOKS, NOISE, VAGUE = 0.17, 0.3, 0.7, 0.08
_BLOCK = 50_000


@dataclass(frozen=True)
class Pool:
    """n images of L labels. The file is written once and mapped; only the confirmed rows are ever copied."""

    X: NDArray[np.float16]  # (n, 512) a read-only memory map
    y: NDArray[np.int32]  # (n,) true labels
    text: NDArray[np.float32]  # (L, 512) unit rows: roughly where the labels lie, as prompts are
    reserve: NDArray[np.bool_]  # (n,) a fifth of the images, drawn by key, for audits

    @property
    def n_labels(self) -> int:
        return len(self.text)

    def first(self, n: int) -> "Pool":
        """The first n images, which are a sample like any other."""
        return Pool(self.X[:n], self.y[:n], self.text, self.reserve[:n])

    def confirmed(self, count: int, seed: int) -> NDArray[np.int64]:
        """(count,) rows outside the reserve that people have answered, in ascending order."""
        rows = np.random.default_rng([seed, count]).permutation(np.flatnonzero(~self.reserve))[:count]
        return np.sort(rows)


def make(folder: Path, n: int, labels: int, seed: int = 0) -> Pool:
    """Write the pool's file, or map the one that lies there.

    An image is the sum of a common vector (as of real encoders), vectors of its label and look, and noise
    whose energy falls along the axes as 1/i, so that most of it lies in about a hundred of 512 dimensions.
    Frequencies fall as 1/√rank for labels and as 1/rank for looks within a label. A tenth of the images are
    near-copies of an image shortly before. Class embeddings are a label's vector with noise of the same size.
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
    for i in np.flatnonzero(copied):  # in order, so that a copy of a copy is of the first image's label
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
