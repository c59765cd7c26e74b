"""The optimisation problem of the logistic head.

    minimise over W (L, r), b (L,)
        Σ_i v_i CE(α B_i + W z_i + b, y_i)  +  ½ Σ_cj λ_cj w_cj²  +  ½ κ ‖b‖²

B are the text logits. Z are the scaled images in an orthonormal basis of their span, and w_c = Vᵀ(w_c − α
t_c) of the head: a part outside the span changes no loss, so it is zero at the optimum.

Many problems share the same images: five folds, two metrics of the prior (a metric that stretches axis j by
f_j is λ_cj = λ_c / f_j²), with text and without. They are evaluated together, so the images are read once for
all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]
F = NDArray[np.floating[Any]]

_BLOCK = 512  # rows


def basis(X: F8) -> tuple[F8, F8]:
    """Return an orthonormal basis of the rows of X that diagonalises XᵀX.

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
    # The sign of an eigenvector is arbitrary; fix it so that all builds give the same numbers.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    return vectors * np.where(signs == 0, 1.0, signs), values


def log_softmax(logits: F8) -> F8:
    """Return the row-wise log-softmax of (n, L) logits."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


@dataclass(frozen=True)
class Rows:
    """The labelled images that all problems share; all arrays of one dtype, float32 or float64."""

    Z: F  # (n, r) scaled images
    B: F  # (L, n) text logits
    Y: F  # (L, n) targets, columns sum to one

    @classmethod
    def of(cls, Z: F8, B: F8, Y: F8, dtype: type = np.float64) -> Self:
        """Return rows from Z (n, r), B (n, L), Y (n, L)."""
        return cls(
            np.ascontiguousarray(Z, dtype), np.ascontiguousarray(B.T, dtype), np.ascontiguousarray(Y.T, dtype)
        )


@dataclass(frozen=True)
class Problem:
    """One minimisation: row weights, text scale and strengths of the priors."""

    v: F8  # (n,) ≥ 0
    alpha: float
    lam: F8  # (L, r) > 0, the prior's strength along each axis
    kappa: float  # > 0


@dataclass(frozen=True)
class Evaluation:
    """Losses and gradients of P problems, each at its own point."""

    loss: F8  # (P,)
    grad_W: F  # (P, L, r)
    grad_b: F8  # (P, L)
    hessian_diag_W: F | None = None  # None without `curvature`
    hessian_diag_b: F8 | None = None


def evaluate(W: F, b: F8, rows: Rows, problems: Sequence[Problem], *, curvature: bool = False) -> Evaluation:
    """Return loss and gradient of each problem at its own W (P, L, r), b (P, L).

    `curvature` adds the diagonal of the Hessian.
    Rows are read in blocks that stay in the cache. Products, exponentials and gradients have the rows' dtype;
    sums over rows of the loss and of b's gradient are float64.
    """
    P, L, r = W.shape
    dtype = rows.Z.dtype
    W = W.astype(dtype, copy=False)
    weight = np.stack([problem.v for problem in problems]).astype(dtype)  # (P, n)
    alpha = np.array([problem.alpha for problem in problems], dtype)
    loss, grad_W, grad_b = np.zeros(P), np.zeros_like(W), np.zeros((P, L))
    diag_W, diag_b = (np.zeros_like(W), np.zeros((P, L))) if curvature else (None, None)
    for members, blocks in _blocks_by_problems(weight):
        index: Any = members if len(members) < P else slice(None)
        arguments = (W[index].reshape(-1, r), b[index].astype(dtype), alpha[index], weight[index])
        sums = [np.zeros((len(members) * L, r), dtype) for _ in range(2 if curvature else 1)]
        for block in blocks:
            p, block_loss = _block(*arguments, rows, block)
            loss[index] += block_loss
            if diag_b is not None:
                variance = p * (1 - p)
                variance *= arguments[3][:, None, block]
                sums[1] += variance.reshape(len(members) * L, -1) @ rows.Z[block] ** 2
                diag_b[index] += variance.sum(axis=2, dtype=np.float64)
            p -= rows.Y[:, block]
            p *= arguments[3][:, None, block]
            sums[0] += p.reshape(len(members) * L, -1) @ rows.Z[block]
            grad_b[index] += p.sum(axis=2, dtype=np.float64)
        grad_W[index] += sums[0].reshape(-1, L, r)
        if diag_W is not None:
            diag_W[index] += sums[1].reshape(-1, L, r)
    kappa = np.array([problem.kappa for problem in problems])
    for i, problem in enumerate(problems):
        prior_grad = problem.lam * W[i]
        loss[i] += 0.5 * float(np.vdot(prior_grad, W[i])) + 0.5 * kappa[i] * float(b[i] @ b[i])
        grad_W[i] += prior_grad
    grad_b += kappa[:, None] * b
    if diag_W is None or diag_b is None:
        return Evaluation(loss, grad_W, grad_b)
    for i, problem in enumerate(problems):
        diag_W[i] += problem.lam
    return Evaluation(loss, grad_W, grad_b, diag_W, diag_b + kappa[:, None])


def _block(W: F, b: F, alpha: F, weight: F, rows: Rows, block: slice) -> tuple[F, F8]:
    """Return probabilities (P, L, m) of a block of rows and the loss (P,) on them; W (P·L, r)."""
    P, L = b.shape
    Z, Y, w = rows.Z[block], rows.Y[:, block], weight[:, block]
    p = (W @ Z.T).reshape(P, L, len(Z))
    p += alpha[:, None, None] * rows.B[:, block]
    p += b[:, :, None]
    p -= p.max(axis=1, keepdims=True)
    target_logit = np.einsum("pln,ln->pn", p, Y)
    np.exp(p, out=p)
    total = p.sum(axis=1)
    p /= total[:, None, :]
    return p, ((np.log(total) - target_logit) * w).sum(axis=1, dtype=np.float64)


def _blocks_by_problems(weight: F) -> list[tuple[NDArray[np.int64], list[slice]]]:
    """Return pairs (problems, blocks): the blocks in which the same problems have weight (P, n) > 0."""
    groups: dict[bytes, tuple[NDArray[np.int64], list[slice]]] = {}
    for start in range(0, weight.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        used = weight[:, block].any(axis=1)
        if used.any():
            groups.setdefault(used.tobytes(), (np.flatnonzero(used), []))[1].append(block)
    return list(groups.values())
