"""The one optimisation problem of the logistic head.

    minimise over W (L, r), b (L,)
        Σ_i v_i CE(α B_i + W z_i + b, y_i)  +  ½ Σ_cj λ_cj w_cj²  +  ½ κ ‖b‖²

B are the text's logits, Z the scaled images in an orthonormal basis of their own span, and w_c = Vᵀ(w_c − α t_c) of the
head: whatever part of that lies outside the images' span changes no loss and so is zero at the optimum.

Many such problems are about the same images: five folds, two metrics of the prior (a metric that stretches axis j by f_j
is λ_cj = λ_c / f_j²), with text and without. They are evaluated together: a product with fifty columns costs little more
than one with ten, and the images are read once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]
F = NDArray[np.floating[Any]]

_BLOCK = 512


def basis(X: F8) -> tuple[F8, F8]:
    """An orthonormal basis of the rows of X that diagonalises XᵀX.

    Args:
        X: (n, d), already centred.

    Returns:
        V (d, r) and the eigenvalues of XᵀX (r,), largest first; r ≤ min(n, d), at least 1.
    """
    n, d = X.shape
    if n >= d:
        values, vectors = np.linalg.eigh(X.T @ X)
    else:
        values, left = np.linalg.eigh(X @ X.T)
        vectors = left
    order = np.argsort(values)[::-1]
    values = values[order]
    keep = values > max(float(values[0]), 1e-30) * 1e-10
    keep[0] = True
    values = np.maximum(values[keep], 1e-30)
    vectors = vectors[:, order[keep]]
    if n < d:
        vectors = X.T @ vectors / np.sqrt(values)
    # eigh leaves the sign open; fix it so that the same data give the same numbers on any build.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1.0, signs), values


def log_softmax(logits: F8) -> F8:
    """Row-wise log-softmax (n, L)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


@dataclass(frozen=True)
class Rows:
    """What all problems about the same labelled images share; all of one dtype, float32 or float64."""

    Z: F  # (n, r) scaled images
    B: F  # (L, n) text logits
    Y: F  # (L, n) targets, columns sum to one

    @classmethod
    def of(cls, Z: F8, B: F8, Y: F8, dtype: type = np.float64) -> Self:
        """From (n, r), (n, L), (n, L)."""
        return cls(
            np.ascontiguousarray(Z, dtype), np.ascontiguousarray(B.T, dtype), np.ascontiguousarray(Y.T, dtype)
        )


@dataclass(frozen=True)
class Problem:
    """One minimisation: whose answers count how much, how far the text is believed, how strong the priors are."""

    v: F8  # (n,) ≥ 0
    alpha: float
    lam: F8  # (L, r) > 0, the prior's strength along each axis
    kappa: float  # > 0


@dataclass(frozen=True)
class Values:
    """Of P problems at one point each. The diagonals are those of the Hessian, None unless asked for."""

    loss: F8  # (P,)
    by_W: F  # (P, L, r)
    by_b: F8  # (P, L)
    diagonal_W: F | None = None
    diagonal_b: F8 | None = None


def evaluate(W: F, b: F8, rows: Rows, problems: Sequence[Problem], *, curvature: bool = False) -> Values:
    """Loss and gradient of each problem at its own W (P, L, r), b (P, L); all of them in the same two products.

    Rows are taken in blocks that stay in the cache from the first product to the last. Products, exponentials and
    gradients are of the rows' dtype; sums over rows of the loss and of b's part are float64.
    """
    P, L, r = W.shape
    dtype = rows.Z.dtype
    W = W.astype(dtype, copy=False)
    weight = np.stack([each.v for each in problems]).astype(dtype)  # (P, n)
    alpha = np.array([each.alpha for each in problems], dtype)
    loss, by_W, by_b = np.zeros(P), np.zeros_like(W), np.zeros((P, L))
    bend_W, bend_b = (np.zeros_like(W), np.zeros((P, L))) if curvature else (None, None)
    for who, blocks in _who_counts(weight):
        mine: Any = who if len(who) < P else slice(None)
        at = (W[mine].reshape(-1, r), b[mine].astype(dtype), alpha[mine], weight[mine])
        sums = [np.zeros((len(who) * L, r), dtype) for _ in range(2 if curvature else 1)]
        for part in blocks:
            p, lost = _block(*at, rows, part)
            loss[mine] += lost
            if bend_b is not None:
                bend = p * (1 - p)
                bend *= at[3][:, None, part]
                sums[1] += bend.reshape(len(who) * L, -1) @ rows.Z[part] ** 2
                bend_b[mine] += bend.sum(axis=2, dtype=np.float64)
            p -= rows.Y[:, part]
            p *= at[3][:, None, part]
            sums[0] += p.reshape(len(who) * L, -1) @ rows.Z[part]
            by_b[mine] += p.sum(axis=2, dtype=np.float64)
        by_W[mine] += sums[0].reshape(-1, L, r)
        if bend_W is not None:
            bend_W[mine] += sums[1].reshape(-1, L, r)
    kappa = np.array([each.kappa for each in problems])
    for i, each in enumerate(problems):
        pull = each.lam * W[i]
        loss[i] += 0.5 * float(np.vdot(pull, W[i])) + 0.5 * kappa[i] * float(b[i] @ b[i])
        by_W[i] += pull
    by_b += kappa[:, None] * b
    if bend_W is None or bend_b is None:
        return Values(loss, by_W, by_b)
    for i, each in enumerate(problems):
        bend_W[i] += each.lam
    return Values(loss, by_W, by_b, bend_W, bend_b + kappa[:, None])


def _block(flat: F, b: F, alpha: F, weight: F, rows: Rows, part: slice) -> tuple[F, F8]:
    """Probabilities (P, L, m) of a block of rows, and the loss (P,) on them."""
    P, L = b.shape
    Z, Y, w = rows.Z[part], rows.Y[:, part], weight[:, part]
    p = (flat @ Z.T).reshape(P, L, len(Z))
    p += alpha[:, None, None] * rows.B[:, part]
    p += b[:, :, None]
    p -= p.max(axis=1, keepdims=True)
    told = np.einsum("pln,ln->pn", p, Y)
    np.exp(p, out=p)
    total = p.sum(axis=1)
    p /= total[:, None, :]
    return p, ((np.log(total) - told) * w).sum(axis=1, dtype=np.float64)


def _who_counts(weight: F) -> list[tuple[NDArray[np.int64], list[slice]]]:
    """Blocks of rows, put together by which problems (weight (P, n) > 0) have a row in them."""
    together: dict[bytes, tuple[NDArray[np.int64], list[slice]]] = {}
    for start in range(0, weight.shape[1], _BLOCK):
        part = slice(start, start + _BLOCK)
        who = weight[:, part].any(axis=1)
        if who.any():
            together.setdefault(who.tobytes(), (np.flatnonzero(who), []))[1].append(part)
    return list(together.values())
