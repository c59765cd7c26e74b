"""The one optimisation problem of the logistic head, and its solver.

    minimise over A (r, L), b (L,)
        Σ_i v_i CE(B_i + Z_i A + b, Y_i)  +  ½ Σ_c λ_c ‖a_c‖²  +  ½ κ ‖b‖²

B are the text's logits, Z the scaled images in an orthonormal basis of their own span, and a_c = Vᵀ(w_c − t_c):
whatever part of w_c − t_c lies outside the images' span changes no loss and so is zero at the optimum. The
basis diagonalises ZᵀZ, which makes the curvature bound of Böhning (1992) diagonal too; solving in variables
scaled by its root is what makes L-BFGS converge in a dozen steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]

# The bound on softmax curvature is ½; at a useful fit p(1−p) is far smaller. Only speed depends on it.
_CURVATURE = 0.1


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


def loss_and_gradient(
    A: F8, b: F8, Z: F8, B: F8, Y: F8, v: F8, lam: F8, kappa: float
) -> tuple[float, F8, F8]:
    """Value of the objective and its gradients with respect to A (r, L) and b (L,).

    Z, B and Y may be float32: the large products are then taken in it. A, b and the sums stay float64.
    """
    logp = Z @ A.astype(Z.dtype, copy=False)
    logp += B
    logp += b.astype(Z.dtype, copy=False)
    logp -= logp.max(axis=1, keepdims=True)
    p = np.exp(logp)
    total = p.sum(axis=1, keepdims=True)
    logp -= np.log(total)
    p /= total
    logp *= Y
    loss = -float(v @ logp.sum(axis=1))
    loss += 0.5 * float((A * A).sum(axis=0) @ lam) + 0.5 * kappa * float(b @ b)
    p -= Y
    p *= v.astype(p.dtype, copy=False)[:, None]
    return loss, Z.T @ p + A * lam, p.sum(axis=0) + kappa * b


def solve(
    Z: F8,
    B: F8,
    Y: F8,
    v: F8,
    lam: F8,
    kappa: float,
    *,
    start: tuple[F8, F8] | None = None,
    tolerance: float = 1e-8,
    max_iter: int = 300,
) -> tuple[F8, F8]:
    """The minimiser (A, b). The problem is strictly convex, so the start changes the way, not the goal.

    Args:
        Z: (n, r) scaled images. B: (n, L) text logits. Y: (n, L) targets, rows sum to one.
        v: (n,) weights ≥ 0. lam: (L,) > 0. kappa: > 0.
        start: a warm start. tolerance: relative decrease of the objective at which to stop.
    """
    from scipy.optimize import minimize  # 0.2 s to import: only when something is fitted

    r, n_labels = Z.shape[1], B.shape[1]
    energy = v @ (Z * Z)
    scale_a = 1.0 / np.sqrt(_CURVATURE * energy[:, None] + lam[None, :])  # (r, L)
    scale_b = 1.0 / np.sqrt(_CURVATURE * float(v.sum()) + kappa)

    def value(theta: F8) -> tuple[float, F8]:
        A = theta[: r * n_labels].reshape(r, n_labels) * scale_a
        b = theta[r * n_labels :] * scale_b
        loss, grad_a, grad_b = loss_and_gradient(A, b, Z, B, Y, v, lam, kappa)
        return loss, np.concatenate([(grad_a * scale_a).ravel(), grad_b * scale_b])

    theta = np.zeros(r * n_labels + n_labels)
    if start is not None:
        theta[: r * n_labels] = (start[0] / scale_a).ravel()
        theta[r * n_labels :] = start[1] / scale_b
    found = minimize(
        value,
        theta,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": max_iter, "ftol": tolerance, "gtol": 1e-7, "maxcor": 10},
    ).x
    return found[: r * n_labels].reshape(r, n_labels) * scale_a, found[r * n_labels :] * scale_b
