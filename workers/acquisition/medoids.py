"""Real images that stand for the others: the nearest to each k-means centre."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.acquisition.kmeans import kmeans, sums
from workers.acquisition.quotas import quotas

# k-means looks at no more rows than this; beyond it a seeded sample stands for the pool.
_SAMPLE = 20_000
# More medoids than this are looked for in groups: the time of k-means++ grows with rows × centres, and 1,500
# centres among 20,000 rows of 512 dimensions would take most of a minute.
_NESTED = 200
# … and along no more than this many principal axes, found on this many rows: encoders' images lie in fewer.
_AXES = 128
_AXES_FROM = 4_000
# So are a few among many rows, unless they are too few to be worth finding axes for.
_MANY_ROWS, _MANY = 2_500, 8


def medoids(
    X: NDArray[Any],
    k: int,
    *,
    seed: int,
    weight: ArrayLike | None = None,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """k distinct images, each the nearest to a centre of (weighted) k-means, largest cluster first.

    Args:
        X: vectors, possibly a memory map, of which no more than the sample is copied.
        rows: (n,) distinct rows of X to choose among; all of them when omitted.
        weight: (n,) ≥ 0, how much each row pulls its centre; rows of weight 0 may still be chosen.

    Returns:
        (min(k, n),) indices into `rows`. With fewer distinct vectors than k, copies fill up the rest. More than 200 are
        looked for in about √k clusters, each cluster's share by weight, clusters taking turns.
    """
    n = len(X) if rows is None else len(rows)
    k = min(int(k), n)
    if k <= 0:
        return np.empty(0, np.int64)
    if k == n:
        return np.arange(n)
    w = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    if not (w > 0).any():
        w = np.ones(n)
    rng = np.random.default_rng(seed)
    size = max(_SAMPLE, 4 * k)
    seen = np.arange(n) if n <= size else np.sort(rng.choice(n, size, replace=False))
    V = np.asarray(X[seen if rows is None else rows[seen]], np.float32)
    w = w[seen]
    if k > _NESTED:
        return seen[_nested(V, w, k, seed)]
    worth = k >= _MANY and len(V) > _MANY_ROWS and V.shape[1] > _AXES
    return seen[_nearest(V, w, k, seed, _narrowed(V) if worth else None)]


def _nested(V: NDArray[Any], w: NDArray[Any], k: int, seed: int) -> NDArray[np.int64]:
    """k rows of V (n, d): about √k clusters first, then in each as many medoids as its share of the weight."""
    N = _narrowed(V)
    groups = max(2, round(np.sqrt(k)))
    _, label = kmeans(N, w, groups, seed)
    room = np.bincount(label, minlength=groups)
    mass = np.bincount(label, weights=w, minlength=groups)
    share = _allot(mass, room, k)
    picks = []
    for group in np.argsort(-mass, kind="stable"):
        if share[group]:
            members = np.flatnonzero(label == group)
            picks.append(
                members[
                    _nearest(V[members], w[members], int(share[group]), seed + 1 + int(group), N[members])
                ]
            )
    return take_turns(picks)


def _narrowed(V: NDArray[Any]) -> NDArray[np.float32]:
    """V (n, d) along its principal axes, at most 128: distances among images hardly change, and cost a part.

    The axes are those of every so manieth row, by their covariance (PCA).
    """
    if V.shape[1] <= _AXES:
        return np.asarray(V, np.float32)
    some = V[:: max(1, len(V) // _AXES_FROM)]
    some = some - some.mean(axis=0)
    _, axes = np.linalg.eigh((some.T @ some).astype(np.float64))
    return np.asarray(V @ axes[:, -_AXES:].astype(np.float32))


def _allot(mass: NDArray[Any], room: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """k ≤ Σ room places in proportion to mass (g,) by largest remainders, no group more than its room (g,)."""
    share = np.zeros(len(mass), np.int64)
    while (rest := k - int(share.sum())) > 0:
        free = share < room
        weight = np.where(free, np.maximum(mass, 1e-12), 0.0)
        exact = rest * weight / weight.sum()
        whole = np.minimum(np.floor(exact).astype(np.int64), room - share)
        share += whole
        if not whole.any():
            order = np.argsort(-exact, kind="stable")[: min(rest, int(free.sum()))]
            share[order] += 1
    return share


def _nearest(
    V: NDArray[Any], w: NDArray[Any], k: int, seed: int, N: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """k ≤ n rows of V (n, d): the nearest to each centre of k-means, largest cluster first.

    The clusters are found on N (n, m) where it is given. What is nearest to their centres is always judged on V: along
    a few axes alone, images far from the centre look near, and less uncertain ones were chosen.
    """
    if k == len(V):
        return np.argsort(-w, kind="stable").astype(np.int64)
    centres, label = kmeans(V if N is None else N, w, k, seed)
    mass = np.bincount(label, weights=w, minlength=k)
    if N is not None:
        centres = sums(V, w, label, k) / np.maximum(mass, 1e-30).astype(np.float32)[:, None]

    # Nearest row to each centre, each row once: largest cluster chooses first.
    taken = np.zeros(len(V), bool)
    chosen: list[int] = []
    for cluster in np.argsort(-mass, kind="stable"):
        members = np.flatnonzero((label == cluster) & ~taken)
        if not len(members):
            continue
        gap = ((V[members] - centres[cluster]) ** 2).sum(axis=1)
        pick = int(members[gap.argmin()])
        taken[pick] = True
        chosen.append(pick)
    if len(chosen) < k:  # duplicate vectors leave clusters empty
        spare = np.flatnonzero(~taken)
        order = spare[np.argsort(-w[spare], kind="stable")]
        chosen.extend(int(each) for each in order[: k - len(chosen)])
    return np.array(chosen, np.int64)


def cold_start(
    X: NDArray[Any],
    k: int,
    *,
    seed: int,
    pseudo_label: NDArray[Any] | None = None,
    n_labels: int = 1,
    already: ArrayLike | None = None,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """k images to ask first: the same number of medoids from each class the prompts see.

    Args:
        X: vectors, possibly a memory map. rows: (n,) the rows of X to ask among; all of them when omitted.
        pseudo_label: (n,) zero-shot labels; None takes the pool as one class.
        already: (L,) labels given so far, so that classes that have some wait.

    Returns:
        (min(k, n),) indices into `rows`, classes taking turns, each class's largest cluster first.
    """
    at = np.arange(len(X)) if rows is None else rows
    label = np.zeros(len(at), np.int64) if pseudo_label is None else np.asarray(pseudo_label, np.int64)
    share = quotas(np.bincount(label, minlength=n_labels), min(k, len(at)), already)
    picks = []
    for c in np.flatnonzero(share):
        mine = np.flatnonzero(label == c)
        picks.append(mine[medoids(X, int(share[c]), seed=seed + int(c), rows=at[mine])])
    return take_turns(picks)


def take_turns(lists: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One from each list, then a second from each …: whoever stops early has seen a bit of everything."""
    if not lists:
        return np.empty(0, np.int64)
    rank = np.concatenate([np.arange(len(each)) for each in lists])
    return np.concatenate(lists)[np.argsort(rank, kind="stable")]
