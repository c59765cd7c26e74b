"""The next batch of questions: active questions and audits, in the order of asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.acquisition.audit import draw_audit
from workers.acquisition.diverse import diverse_batch
from workers.acquisition.k_center import k_center
from workers.acquisition.medoids import cold_start
from workers.acquisition.typiclust import typiclust
from workers.acquisition.uncertainty import UNCERTAINTY, Scored

# These use embeddings and no head.
COVERAGE = {"k_center": k_center, "typiclust": typiclust}
STRATEGIES = (*UNCERTAINTY, *COVERAGE, "random")


@dataclass(frozen=True)
class Choice:
    """Questions in the order of asking."""

    index: NDArray[np.int64]  # (m,) rows of X, each once
    stream: NDArray[np.str_]  # (m,) "uncertain", "diverse" or "audit"
    propensity: NDArray[np.float32]  # (m,) in (0, 1]
    priority: NDArray[np.float32]  # (m,) in (0, 1], decreasing: larger is asked sooner

    def __len__(self) -> int:
        return len(self.index)


def choose_batch(
    *,
    X: NDArray[Any],
    scores: Scored | None,
    candidate: NDArray[np.bool_],
    reserve: NDArray[np.bool_],
    batch: int,
    audit_fraction: float = 0.15,
    strategy: str = "margin",
    labelled_counts: ArrayLike,
    seed: int,
    cold: bool,
) -> Choice:
    """Choose up to `batch` images for review.

    Active questions are candidates outside the reserve; audits are candidates inside it, drawn at random. One
    audit stands at a random place in each stretch of 1/audit_fraction questions. So the expected share is
    exact at every position, and any first part of the batch has its share of audits within one. If one kind
    runs out, the other fills the batch.

    The propensity of an audit is (audits drawn) / (reserve available), given the number drawn. A question
    chosen by rule has 1.0: it was certain to be asked and represents no other image. With
        ``strategy="random"`` it is
    (drawn) / (available).

    "k_center" and "typiclust" need no scores and no cold start. Images that are neither candidate nor reserve
    are covered for them.

    Args:
        X: (n, d) vectors, possibly a memory map. scores: of the same n rows, or None without a head.
        candidate: (n,) True for images that may be asked now (not answered, not queued).
        reserve: (n,) True for the audit reserve.
        batch: number of questions. audit_fraction: in [0, 1].
        strategy: "margin", "entropy", "least_confidence", "k_center", "typiclust" or "random".
        labelled_counts: (L,) labels given so far; its length is the number of labels.
        seed: of every random choice. cold: before the first labels: use medoids, not uncertainty.

    Raises:
        ValueError: shapes, an unknown strategy, or an uncertainty strategy without scores when not cold.
    """
    n = len(X)
    counts = np.asarray(labelled_counts, np.int64)
    _check(n, scores, candidate, reserve, batch, audit_fraction, strategy, counts, cold)
    rng = np.random.default_rng(seed)
    free = np.flatnonzero(candidate & ~reserve)
    free_reserve = int((candidate & reserve).sum())
    batch = min(int(batch), len(free) + free_reserve)

    positions = _audit_positions(batch, audit_fraction, rng)
    audits = min(max(len(positions), batch - len(free)), free_reserve)
    audit_index, audit_propensity = draw_audit(reserve, ~candidate, audits, rng)
    covered = np.flatnonzero(~candidate & ~reserve)
    active, stream, propensity = _choose_active(
        X, scores, free, covered, batch - len(audit_index), strategy, counts, seed, cold, rng
    )

    # Without enough audits, active questions take the last audit places; further audits come at the end.
    is_audit = np.zeros(batch, bool)
    is_audit[positions[: len(audit_index)]] = True
    extra = len(audit_index) - int(is_audit.sum())
    if extra > 0:
        is_audit[np.flatnonzero(~is_audit)[-extra:]] = True
    index = np.empty(batch, np.int64)
    streams = np.empty(batch, "<U9")
    propensities = np.empty(batch, np.float32)
    index[is_audit], streams[is_audit], propensities[is_audit] = audit_index, "audit", audit_propensity
    index[~is_audit], streams[~is_audit], propensities[~is_audit] = active, stream, propensity
    priority = (np.arange(batch, 0, -1) / max(batch, 1)).astype(np.float32)
    return Choice(index, streams, propensities, priority)


def _choose_active(
    X: NDArray[Any],
    scores: Scored | None,
    free: NDArray[np.int64],
    covered: NDArray[np.int64],
    k: int,
    strategy: str,
    counts: NDArray[np.int64],
    seed: int,
    cold: bool,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], str, float]:
    """Return the rows of X to ask, their stream and their propensity."""
    if k <= 0:
        return np.empty(0, np.int64), "uncertain", 1.0
    if strategy == "random":
        return rng.permutation(free)[:k], "diverse", k / len(free)
    with one_thread():
        if strategy in COVERAGE:
            return COVERAGE[strategy](X, free, k, covered=covered, seed=seed), "diverse", 1.0
        if cold or scores is None:
            pseudo = None if scores is None else scores.label[free]
            labels = 1 if pseudo is None else len(counts)
            rows = cold_start(
                X,
                k,
                rows=free,
                seed=seed,
                pseudo_label=pseudo,
                n_labels=labels,
                labelled_counts=None if pseudo is None else counts,
            )
            return free[rows], "diverse", 1.0
        uncertainty = np.asarray(UNCERTAINTY[strategy](scores))[free]
        rows = diverse_batch(
            X,
            uncertainty,
            scores.label[free],
            k,
            n_labels=len(counts),
            seed=seed,
            rows=free,
            labelled_counts=counts,
        )
        return free[rows], "uncertain", 1.0


def one_thread() -> Any:
    """Return a context with one BLAS thread, so that batches are repeatable on any number of cores.

    Sums then have the same order. At these sizes it is hardly slower.
    """
    import scipy.linalg.blas  # noqa: F401  (a BLAS must be loaded before it can be limited)
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")


def _audit_positions(batch: int, fraction: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the places of audits in a batch: a random one in each stretch of 1/fraction."""
    if fraction <= 0 or batch <= 0:
        return np.empty(0, np.int64)
    if fraction >= 1:
        return np.arange(batch)
    stretches = int(np.ceil(batch * fraction))
    places = np.floor((np.arange(stretches) + rng.random(stretches)) / fraction).astype(np.int64)
    places = places[places < batch]
    # Stretches need not end on a whole place, so two places can be equal: the later one moves on, or at the
    # end of the batch the earlier one back. The number of audits does not change.
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + 1)
    return np.minimum(places, batch - len(places) + np.arange(len(places)))


def _check(
    n: int,
    scores: Scored | None,
    candidate: NDArray[np.bool_],
    reserve: NDArray[np.bool_],
    batch: int,
    fraction: float,
    strategy: str,
    counts: NDArray[np.int64],
    cold: bool,
) -> None:
    for name, mask in (("candidate", candidate), ("reserve", reserve)):
        if mask.shape != (n,) or mask.dtype != np.bool_:
            raise ValueError(f"{name} must be ({n},) booleans, got {mask.dtype} {mask.shape}")
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; known are {', '.join(STRATEGIES)}")
    if counts.ndim != 1 or len(counts) < 1:
        raise ValueError("labelled_counts must be (L,) with at least one label")
    if batch < 0 or not 0 <= fraction <= 1:
        raise ValueError("batch must not be negative and audit_fraction must lie in [0, 1]")
    if scores is None:
        if not cold and strategy in UNCERTAINTY:
            raise ValueError(f"strategy {strategy!r} needs scores")
    elif len(scores.label) != n:
        raise ValueError(f"scores are of {len(scores.label)} images, vectors of {n}")
