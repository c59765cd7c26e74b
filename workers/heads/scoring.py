"""Application of a head to many vectors, in memory that does not grow with their number."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from workers.heads.head import LinearHead, NonFiniteVectors

_BLOCK = 2048  # rows
_MAX_THREADS = 8  # more are limited by memory bandwidth
_MIN_ROWS_FOR_THREADS = 20_000  # with fewer rows, threads are slower


@dataclass(frozen=True)
class Scores:
    """Predictions of a head for n images. With one label the runner-up is −1, and its confidence 0."""

    label: NDArray[np.int32]  # (n,)
    runner_up: NDArray[np.int32]  # (n,)
    confidence: NDArray[np.float32]  # (n,) calibrated probability of label
    runner_up_confidence: NDArray[np.float32]  # (n,)
    margin: NDArray[np.float32]  # (n,) confidence − runner_up_confidence
    entropy: NDArray[np.float32]  # (n,) nats

    def __len__(self) -> int:
        return len(self.label)


def score(head: LinearHead, X: NDArray[Any], chunk: int = 65536) -> Scores:
    """Return the scores of (n, d) float16 or float32 vectors at the head's temperature.

    X may be a memory map: each thread reads at most `chunk` rows at a time, and fewer of float16, which are
    converted in blocks that stay in the cache. No array of n × L or n × d is made. The blocks are the same
    for any number of threads, and so are the results.

    Raises:
        ValueError: shape.
        NonFiniteVectors: rows of X whose logits are not finite.
    """
    if X.ndim != 2 or X.shape[1] != head.dim:
        raise ValueError(f"vectors must be (n, {head.dim}), got {X.shape}")
    if chunk < 1:
        raise ValueError("chunk must be positive")
    n, n_labels = len(X), head.n_labels
    label = np.zeros(n, np.int32)
    runner_up = np.full(n, -1, np.int32)
    confidence = np.ones(n, np.float32)
    runner_up_confidence = np.zeros(n, np.float32)
    entropy = np.zeros(n, np.float32)
    scale = np.float32(head.logit_scale / head.temperature)
    W = np.ascontiguousarray((head.weights * scale).T)  # (d, L)
    b = head.bias / np.float32(head.temperature)
    convert = X.dtype != np.float32
    if convert:
        chunk = min(chunk, _BLOCK)

    def score_blocks(starts: range) -> None:
        """Score the blocks that start at these rows, and write their results."""
        block = np.empty((min(chunk, n), head.dim), np.float32) if convert else None
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
            # H = log Σe^z − Σ p·z, with z relative to the peak
            entropy[rows] = np.maximum(np.log(total) - np.einsum("ij,ij->i", p, z) / total, 0.0)
            confidence[rows] = 1.0 / total
            z[at, best] = -np.inf
            next_best = z.argmax(axis=1)
            runner_up[rows] = next_best
            runner_up_confidence[rows] = p[at, next_best] / total

    if n < _MIN_ROWS_FOR_THREADS:
        score_blocks(range(0, n, chunk))
    else:
        # As many threads as BLAS would use; BLAS's own threads would wait for each other at every block.
        with threadpool_limits(limits=1, user_api="blas") as blas:
            threads = min(_MAX_THREADS, blas.get_original_num_threads()["blas"] or 1)
            # Runs of a few blocks balance the load. Results are read in order, so the first error is raised.
            run = 16 * chunk if convert else chunk
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(score_blocks, (range(s, min(s + run, n), chunk) for s in range(0, n, run))):
                    pass
    margin = confidence - runner_up_confidence
    return Scores(label, runner_up, confidence, runner_up_confidence, margin, entropy)
