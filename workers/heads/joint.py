"""A head on two vectors of each image: its embedding and its detail descriptor.

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

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.calibration import fit_calibration
from workers.heads.estimator import HeadEstimator, LabelledData
from workers.heads.folds import stratified_sample
from workers.heads.head import check_vectors
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8

GAMMA_GRID = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
# γ where labels are too few to compare, and where no other is better by more than one standard error.
FIXED_GAMMA, USUAL_GAMMA = 2.0, 4.0
GAMMA_LABELS = 600  # labels that γ is compared on, for speed
# Deviations of log energies below this are rounding and noise of the camera.
_LEAST_DEVIATION = 0.1


@dataclass(frozen=True)
class DetailBlock:
    """How the detail of an image enters the joined vector: γ·u·(detail − centre) / deviation."""

    centre: F8  # (k,) mean of the labelled images, of values that half precision holds exactly
    factor: F8  # (k,) γ·u / deviation
    gamma: float

    def join(self, X: F8, detail: F8) -> F8:
        """Return the joined vectors (n, d + k)."""
        return np.concatenate([X, (detail - self.centre) * self.factor], axis=1)

    def unfold(self, model: HeadEstimator) -> None:
        """Change a fitted model of joined vectors to one of [embedding ; raw detail]."""
        k = len(self.factor)
        weights = model.coef_[:, -k:] * self.factor
        model.coef_ = np.concatenate([model.coef_[:, :-k], weights], axis=1)
        model.intercept_ = model.intercept_ - float(model.logit_scale) * (weights @ self.centre)


def pad_text(T: NDArray[Any], k: int) -> NDArray[Any]:
    """Return class embeddings (L, d + k) with zeros for the detail."""
    return np.concatenate([T, np.zeros((len(T), k), T.dtype)], axis=1)


def check_detail(detail: ArrayLike, n: int) -> F8:
    """Return the detail (n, k) as float64. ValueError: shape; NonFiniteVectors: values."""
    values = check_vectors(detail).astype(np.float64)
    if len(values) != n or not values.shape[1]:
        raise ValueError(f"detail must be ({n}, k), got {values.shape}")
    return values


def choose_block(default: LogisticTextPriorHead, data: LabelledData, detail: F8) -> DetailBlock | None:
    """Return the detail block with the best γ by cross-validated, calibrated log-loss; None for γ = 0.

    default: the head of the embedding, whose parameters are chosen on `data.subset`. data: the labelled
    embeddings. detail: (n, k).

    γ is chosen on at most ``GAMMA_LABELS`` labels of the subset, with the folds and the metric of the
    embedding. The usual γ stays unless another one is better by more than one standard error of the
    difference: with a dozen labels the lowest loss is often chance.
    """
    if data.empty:
        return None
    block = _unit_block(data, detail)
    if data.fold is None or default.oof_logits_ is None:
        return _scaled(block, FIXED_GAMMA)
    few = stratified_sample(data.subset.Y.argmax(axis=1), GAMMA_LABELS, data.seed, groups=data.subset.groups)
    subset, rows = _part(data.subset, few), data.subset_rows[few]
    if not subset.v.any():
        return _scaled(block, USUAL_GAMMA)
    T = check_vectors(default.class_embeddings).astype(np.float64)
    losses = []
    for gamma in GAMMA_GRID:
        logits: F8 | None = default.oof_logits_[few]
        if gamma:
            vectors = _scaled(block, gamma).join(subset.vectors, detail[rows])
            model = LogisticTextPriorHead(
                pad_text(T, detail.shape[1]),
                logit_scale=default.logit_scale,
                whitening_power=default.whitening_power_,
                seed=default.seed,
            )
            logits = model.choose_parameters(replace(subset, vectors=vectors)).oof_logits_
        assert logits is not None
        log_proba = fit_calibration(logits, subset.Y, sample_weight=subset.v).observed_log_proba(logits)
        losses.append(-(subset.Y * log_proba).sum(axis=1))
    gamma = GAMMA_GRID[_chosen(np.stack(losses), subset.v)]
    return _scaled(block, gamma) if gamma else None


def _part(data: LabelledData, rows: NDArray[np.int64]) -> LabelledData:
    if len(rows) == len(data):
        return data
    arrays = {name: getattr(data, name)[rows] for name in ("vectors", "Y", "v", "groups", "fold")}
    return replace(data, **arrays)


def _chosen(losses: F8, v: F8) -> int:
    """Return the place of the chosen γ from the losses (g, n) of each label and the weights (n,)."""
    n = losses.shape[1]
    best, usual = int((losses @ v).argmin()), GAMMA_GRID.index(USUAL_GAMMA)
    gap = (losses[usual] - losses[best]) * v * (n / float(v.sum()))
    return best if gap.mean() > gap.std(ddof=1) / np.sqrt(n) else usual


def _unit_block(data: LabelledData, detail: F8) -> DetailBlock:
    """Return the block with γ = 1."""
    centre = detail.mean(axis=0).astype(np.float16).astype(np.float64)
    factor = 1 / np.maximum(detail.std(axis=0), _LEAST_DEVIATION)
    spread = float((((detail - centre) * factor) ** 2).sum(axis=1).mean())
    unit = np.sqrt(data.images.unit / data.scale**2 / max(spread, 1e-12)) if spread > 1e-12 else 0.0
    return DetailBlock(centre, factor * unit, 1.0)


def _scaled(block: DetailBlock, gamma: float) -> DetailBlock:
    return DetailBlock(block.centre, block.factor * gamma, gamma)
