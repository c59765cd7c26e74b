"""The vector that a head with local detail reads: the embedding of an image and its detail descriptor.

The joined vector is [x ; γ·u·z]: the embedding x, and the detail z, standardised by the labelled images,
times a unit u that gives both blocks the same mean square. The class embeddings are [t_c ; 0]: the text prior
of the embedding stays as it is, and the prior mean of the detail is zero. A prior of one strength on the
joined vector is then a prior on the detail block whose strength relative to the embedding is 1/γ². γ = 0 is
the head of the embedding alone. With a large γ the embedding keeps its class embeddings, and the detail alone
learns.

Standardising is linear, so it ends up in the weights and the bias: the head is one linear map of
[x ; raw detail].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.estimator import LabelledData
from workers.heads.head import check_vectors
from workers.heads.objective import F8

# Deviations of log energies below this are rounding and noise of the camera.
_LEAST_DEVIATION = 0.1


@dataclass(frozen=True)
class DetailBlock:
    """How the detail of an image enters the joined vector: γ·u·(detail − centre) / deviation."""

    centre: F8  # (k,) mean of the labelled images, of values that half precision holds exactly
    factor: F8  # (k,) γ·u / deviation
    gamma: float

    def join(self, X: F8, detail: F8) -> F8:
        """Return the joined vectors (n, d + k); the embeddings (n, d) alone if γ is 0."""
        if not self.gamma:
            return X
        return np.concatenate([X, (detail - self.centre) * self.factor], axis=1)

    def unfold(self, coef: F8, intercept: F8, scale: float) -> tuple[F8, F8]:
        """Return coefficients (L, d + k) and intercept (L,) of [embedding ; raw detail].

        coef, intercept: those of the joined vectors. scale: the logit scale.
        """
        k = len(self.factor)
        if not self.gamma:
            return np.pad(coef, ((0, 0), (0, k))), intercept
        weights = coef[:, -k:] * self.factor
        return np.concatenate([coef[:, :-k], weights], axis=1), intercept - scale * (weights @ self.centre)


def pad_text(T: NDArray[Any], k: int) -> NDArray[Any]:
    """Return class embeddings (L, d + k) with zeros for the detail."""
    return np.concatenate([T, np.zeros((len(T), k), T.dtype)], axis=1)


def check_detail(detail: ArrayLike, n: int) -> F8:
    """Return the detail (n, k) as float64. ValueError: shape; NonFiniteVectors: values."""
    values = check_vectors(detail).astype(np.float64)
    if len(values) != n or not values.shape[1]:
        raise ValueError(f"detail must be ({n}, k), got {values.shape}")
    return values


def make_blocks(data: LabelledData, detail: F8, gammas: tuple[float, ...]) -> list[DetailBlock]:
    """Return one block for each γ. data: the labelled embeddings; detail: (n, k)."""
    if not len(detail):
        none = np.zeros(detail.shape[1])
        return [DetailBlock(none, none, gamma) for gamma in gammas]
    centre = detail.mean(axis=0).astype(np.float16).astype(np.float64)
    factor = 1 / np.maximum(detail.std(axis=0), _LEAST_DEVIATION)
    spread = float((((detail - centre) * factor) ** 2).sum(axis=1).mean())
    unit = np.sqrt(data.images.unit / data.scale**2 / max(spread, 1e-12)) if spread > 1e-12 else 0.0
    return [DetailBlock(centre, factor * unit * gamma, gamma) for gamma in gammas]
