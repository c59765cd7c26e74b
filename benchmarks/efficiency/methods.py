"""Heads and acquisition functions to compare: ours, and published ones implemented from their papers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.efficiency.data import Data
from workers.acquisition.k_center import k_center
from workers.acquisition.mix import choose_batch
from workers.acquisition.typiclust import typiclust
from workers.heads.head import LinearHead
from workers.heads.scoring import score
from workers.heads.train import train_head
from workers.heads.zero_shot import ZeroShotHead

Rows = NDArray[np.int64]
FLOOR = 1e-6  # smallest probability that is used: one certain mistake must not outweigh a thousand answers


class Fitted(Protocol):
    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]: ...


# -- heads ---------------------------------------------------------------------------------------------------


class Plain:
    """scikit-learn's LogisticRegression at its defaults on standardised features, the usual linear probe.

    The features are standardised because an encoder's images lie in a narrow cone, where the default
    regularization would be too strong. Labels without an answer get probability zero. If only one label has
    answers, it gets probability one.
    """

    def __init__(self, X: NDArray[Any], y: NDArray[np.int64], n_labels: int) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.n_labels, self.seen = n_labels, np.unique(y)
        self.model: Any = None
        if len(self.seen) > 1:
            self.model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(X, y)

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        p = np.zeros((len(X), self.n_labels))
        p[:, self.seen] = 1.0 if self.model is None else self.model.predict_proba(X)
        return p


def fit_plain(data: Data, rows: Rows, answers: NDArray[np.int64], seed: int) -> Fitted:
    return Plain(data.X[rows], answers, data.n_labels)


def fit_ours(data: Data, rows: Rows, answers: NDArray[np.int64], seed: int) -> Fitted:
    """Return the head that the product trains."""
    return train_head(
        data.X[rows], answers, class_embeddings=data.class_embeddings, logit_scale=data.logit_scale, seed=seed
    ).head


def fit_with_detail(data: Data, rows: Rows, answers: NDArray[np.int64], seed: int) -> Fitted:
    """Return the head that the product trains with the local detail."""
    assert data.detail is not None
    return train_head(
        data.X[rows],
        answers,
        class_embeddings=data.class_embeddings,
        logit_scale=data.logit_scale,
        seed=seed,
        detail=data.detail[rows],
    ).head


def zero_shot(data: Data) -> ZeroShotHead | None:
    return None if data.text is None else ZeroShotHead(data.text, data.logit_scale)


HEADS: dict[str, Callable[[Data, Rows, NDArray[np.int64], int], Fitted]] = {
    "plain": fit_plain,
    "ours": fit_ours,
}
WITH_DETAIL = "ours with detail"


# -- questions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """The input of an acquisition function: the pool, the labels so far, the current head (or None)."""

    X: NDArray[Any]  # (n, d) the pool
    free: Rows  # not asked yet
    known: Rows
    answers: NDArray[np.int64]  # (len(known),)
    head: Fitted | None
    n_labels: int
    order: Rows  # random order of the pool by the seed, the same for every method
    seed: int
    joined: NDArray[Any] | None = None  # (n, d + k) what the current head reads, if it is not X

    @property
    def read(self) -> NDArray[Any]:
        """Return what the current head reads of the pool."""
        return self.X if self.joined is None else self.joined

    def at_random(self, k: int) -> Rows:
        """Return the next k free rows in the seed's order.

        All methods that draw at random therefore draw the same images.
        """
        return self.order[np.isin(self.order, self.free)][:k]

    def probabilities(self) -> NDArray[np.float64]:
        """Return (len(free), L) probabilities of the current head."""
        assert self.head is not None
        return np.asarray(self.head.predict_proba(self.read[self.free]), np.float64)


def ask_random(now: Moment, k: int) -> Rows:
    return now.at_random(k)


def ask_margin(now: Moment, k: int) -> Rows:
    """Return the k rows with the smallest margin between the two best labels (Settles 2009, section 3.1)."""
    if now.head is None:
        return now.at_random(k)
    p = np.sort(now.probabilities(), axis=1)
    return now.free[np.argsort(p[:, -1] - p[:, -2], kind="stable")[:k]]


def ask_entropy(now: Moment, k: int) -> Rows:
    """Return the k rows with the largest entropy (Settles 2009, section 3.1)."""
    if now.head is None:
        return now.at_random(k)
    p = now.probabilities()
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    return now.free[np.argsort(-entropy, kind="stable")[:k]]


def ask_k_center(now: Moment, k: int) -> Rows:
    return k_center(now.X, now.free, k, covered=now.known, seed=now.seed)


def ask_typiclust(now: Moment, k: int) -> Rows:
    return typiclust(now.X, now.free, k, covered=now.known, seed=now.seed)


def ask_badge(now: Moment, k: int) -> Rows:
    """Return k rows by k-means++ on gradients at the predicted labels (BADGE, arXiv 1906.03671).

    The gradient of a linear head at the predicted label is the outer product (p − e_ŷ) ⊗ x. Its distances
    factor into those of the two parts, so that no array of size L·d per image is needed. Source: Ash et al.
    """
    if now.head is None:
        return now.at_random(k)
    x = np.asarray(now.X[now.free], np.float64)
    a = now.probabilities()
    a[np.arange(len(a)), a.argmax(axis=1)] -= 1.0
    size = (a * a).sum(axis=1) * (x * x).sum(axis=1)
    rng = np.random.default_rng([now.seed, 5])
    gap, chosen = np.full(len(x), np.inf), [int(size.argmax())]
    while len(chosen) < min(k, len(x)):
        last = chosen[-1]
        inner = (a @ a[last]) * (x @ x[last])
        gap = np.minimum(gap, np.maximum(size + size[last] - 2.0 * inner, 0.0))
        gap[chosen] = 0.0
        total = gap.sum()
        left = np.setdiff1d(np.arange(len(x)), chosen)
        chosen.append(int(rng.choice(len(x), p=gap / total) if total > 0 else rng.choice(left)))
    return now.free[chosen[:k]]


def ask_ours(now: Moment, k: int) -> Rows:
    """Return k rows as the product chooses them, without audits.

    Audits are not trained on and are an additional cost.
    """
    candidate = np.zeros(len(now.X), bool)
    candidate[now.free] = True
    return choose_batch(
        X=now.X,
        scores=score(now.head, now.read) if isinstance(now.head, LinearHead) else None,
        candidate=candidate,
        reserve=np.zeros(len(now.X), bool),
        batch=k,
        audit_fraction=0.0,
        labelled_counts=np.bincount(now.answers, minlength=now.n_labels),
        seed=now.seed,
        cold=not len(now.known),
    ).index


PUBLISHED: dict[str, Callable[[Moment, int], Rows]] = {
    "random": ask_random,
    "margin": ask_margin,
    "entropy": ask_entropy,
    "k_center": ask_k_center,
    "badge": ask_badge,
    "typiclust": ask_typiclust,
}
QUESTIONS = {**PUBLISHED, "ours": ask_ours}
# With and without the local detail, compared apart from the published methods.
HEADS_OF_DETAIL = {"ours": fit_ours, WITH_DETAIL: fit_with_detail}
METHODS_OF_DETAIL = [(head, "ours") for head in HEADS_OF_DETAIL]
METHODS = [(head, question) for head in HEADS for question in PUBLISHED] + [("ours", "ours")]
