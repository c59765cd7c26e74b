"""Apply a head to many vectors, in memory that does not grow with their number."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from workers.heads.head import LinearHead, NonFiniteVectors

_BLOCK = 2048
_THREADS = 8  # memory is the limit beyond
_SMALL = 20_000  # rows, below which threads cost more than they save


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

    X may be a memory map: at most `chunk` rows a thread are read at a time, and fewer where float16 is converted, in
    blocks that stay in the processor's cache. Nothing of size n × L or n × d is held. Large pools are shared out
    among the processor's cores, block by block, so that the answer is the same on any number of cores.

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
    half = X.dtype != np.float32
    if half:
        chunk = min(chunk, _BLOCK)

    def several(starts: range) -> None:
        """Score the blocks that begin at these rows. Writes to rows of its own only."""
        block = np.empty((min(chunk, n), head.dim), np.float32) if half else None
        for start in starts:
            rows = slice(start, min(start + chunk, n))
            part = X[rows]
            if block is not None:
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

    if n < _SMALL:
        several(range(0, n, chunk))
    else:
        # As many threads as BLAS may use, but ours: its own would wait for each other at every block.
        with threadpool_limits(limits=1, user_api="blas") as blas:
            threads = min(_THREADS, blas.get_original_num_threads()["blas"] or 1)
            # Runs of a few blocks, so that a core that others use takes fewer; looked at in order, so that of
            # several blocks that are not finite the first is told.
            run = 16 * chunk if half else chunk
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(several, (range(s, min(s + run, n), chunk) for s in range(0, n, run))):
                    pass
    return Scores(label, runner, top, second, top - second, entropy)
