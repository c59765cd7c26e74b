"""Apply a head to many vectors, in memory that does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.heads.head import LinearHead, NonFiniteVectors

_BLOCK = 2048


@dataclass(frozen=True)
class Scores:
    """What a head says of n images. With one label there is no runner-up: it is −1, its confidence 0."""

    label: NDArray[np.int32]  # (n,)
    runner_up: NDArray[np.int32]  # (n,)
    confidence: NDArray[np.float32]  # (n,) calibrated probability of label
    runner_up_confidence: NDArray[np.float32]  # (n,)
    margin: NDArray[np.float32]  # (n,) confidence − runner_up_confidence
    entropy: NDArray[np.float32]  # (n,) nats

    def __len__(self) -> int:
        return len(self.label)


def score(head: LinearHead, X: NDArray[Any], chunk: int = 65536) -> Scores:
    """Scores of (n, d) float16 or float32 vectors at the head's temperature.

    X may be a memory map: at most `chunk` rows are read at a time, and fewer where float16 is converted, in
    blocks that stay in the processor's cache. Nothing of size n × L or n × d is held.

    Raises:
        ValueError: shape. NonFiniteVectors: rows (of X) whose scores are not finite.
    """
    if X.ndim != 2 or X.shape[1] != head.dim:
        raise ValueError(f"vectors must be (n, {head.dim}), got {X.shape}")
    if chunk < 1:
        raise ValueError("chunk must be positive")
    n, n_labels = len(X), head.n_labels
    label = np.zeros(n, np.int32)
    runner = np.full(n, -1, np.int32)
    top = np.ones(n, np.float32)
    second = np.zeros(n, np.float32)
    entropy = np.zeros(n, np.float32)
    scale = np.float32(head.logit_scale / head.temperature)
    W = np.ascontiguousarray((head.weights * scale).T)  # (d, L)
    b = head.bias / np.float32(head.temperature)
    if X.dtype != np.float32:
        chunk = min(chunk, _BLOCK)
        block = np.empty((min(chunk, n), head.dim), np.float32)
    for start in range(0, n, chunk):
        rows = slice(start, min(start + chunk, n))
        part = X[rows]
        if X.dtype != np.float32:
            np.copyto(block[: len(part)], part, casting="same_kind")
            part = block[: len(part)]
        z = part @ W
        z += b
        at = np.arange(len(z))
        best = z.argmax(axis=1)
        peak = z[at, best]
        if not np.isfinite(z).all():
            raise NonFiniteVectors(start + np.flatnonzero(~np.isfinite(z).all(axis=1)))
        label[rows] = best
        if n_labels == 1:
            continue
        z -= peak[:, None]
        p = np.exp(z)
        total = p.sum(axis=1)
        # H = log Σe^z − Σ p·z, with z already relative to the peak
        entropy[rows] = np.maximum(np.log(total) - np.einsum("ij,ij->i", p, z) / total, 0.0)
        top[rows] = 1.0 / total
        z[at, best] = -np.inf
        other = z.argmax(axis=1)
        runner[rows] = other
        second[rows] = p[at, other] / total
    return Scores(label, runner, top, second, top - second, entropy)
