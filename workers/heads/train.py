"""Training of a calibrated head from confirmed labels, with its metrics and a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.averaging import DetailAverage
from workers.heads.calibration import Calibration, expected_calibration_error, reliability
from workers.heads.choice import KINDS, Choice, choose_head
from workers.heads.estimator import HeadEstimator
from workers.heads.gaussian import GaussianDiscriminant
from workers.heads.head import LinearHead, check_vectors
from workers.heads.log import Log, ignore_step
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8
from workers.heads.plain import PlainLogistic

# Parameters stored with a head, and their names there. Stored heads call the whitening power "evenness".
_DETAIL_NAMES = {
    "lambda0": "lambda0",
    "text_scale": "text_scale",
    "whitening_power": "evenness",
    "gamma": "gamma",
}


@dataclass(frozen=True)
class TrainedHead:
    """A head and the metrics of its training, JSON values only."""

    head: LinearHead
    metrics: dict[str, Any]


def train_head(
    X: ArrayLike,
    y: ArrayLike,
    *,
    class_embeddings: ArrayLike,
    logit_scale: float,
    seed: int = 0,
    log: Log = ignore_step,
    sample_weight: ArrayLike | None = None,
    kinds: tuple[str, ...] = KINDS,
    detail: ArrayLike | None = None,
    groups: NDArray[np.int64] | None = None,
) -> TrainedHead:
    """Cross-validate every kind of head, train the best one and calibrate it on out-of-fold scores.

    The metrics under ``cross_validated_on_reviewed_labels`` are those of reviewed images, mostly hard ones.
    They compare heads and do not estimate accuracy on the dataset: only the audit sample does.

    Args:
        X: (n, d) unit vectors of the labelled images. y: (n,) label indices (or (n, L) soft labels).
        class_embeddings: (L, d). logit_scale: the encoder's. seed: of the folds.
        log: receives each step as a code with values; `workers.heads.log.in_english(print)` prints sentences.
        sample_weight: (n,). kinds: as in `choose_head`.
        detail: (n, k) detail descriptors, or None. The head is one of (n, d + k) [embedding ; detail], or of
            the embedding alone if cross-validation prefers that. ``details["detail"]`` names the strengths of
            the heads that were averaged; the other parameters are those of the heaviest of them.
        groups: (n,) numbers of groups of near-duplicates, which share a fold, or None.

    Raises:
        ValueError, NonFiniteVectors: as `HeadEstimator.fit`.
    """
    target = np.asarray(y)
    T = check_vectors(class_embeddings)
    n_labels = len(T)
    choice = choose_head(
        X,
        target,
        class_embeddings=T,
        logit_scale=logit_scale,
        seed=seed,
        sample_weight=sample_weight,
        kinds=kinds,
        detail=detail,
        groups=groups,
    )
    hard = target.argmax(axis=1) if target.ndim == 2 else target.astype(np.int64)
    counts = np.bincount(hard, minlength=n_labels) if len(hard) else np.zeros(n_labels, np.int64)
    n = int(counts.sum())
    seen = int((counts > 0).sum())
    log("labels", n=n, seen=seen, classes=n_labels, dimensions=T.shape[1])
    if seen < n_labels:
        log("unlabelled", classes=n_labels - seen)

    model, calibration = choice.model, choice.calibration or Calibration()
    parameters = fitted_parameters(model)
    block = choice.block
    strengths = [{"gamma": gamma, "weight": round(weight, 6)} for gamma, weight in choice.strengths]
    described = {} if block is None else {"detail": {"strengths": strengths, "centre": block.centre.tolist()}}
    metrics: dict[str, Any] = {
        "n": n,
        "labels_per_class": [int(count) for count in counts],
        "choice": {"code": choice.code},
        "candidates": choice.facts(),
        **parameters,
        "detail_strengths": strengths,
        "cross_validated_on_reviewed_labels": None,
    }
    _log_choice(choice, log)
    if "text_scale" in parameters:
        log("text_scale", scale=parameters["text_scale"])
    if strengths:
        log("detail", weight=sum(weight for gamma, weight in choice.strengths if gamma))
    oof = model.oof_logits_
    if oof is not None and choice.calibration is not None:
        zero_shot = (check_vectors(X) @ T.T).argmax(axis=1)
        metrics["cross_validated_on_reviewed_labels"] = figures = cross_validation_metrics(
            oof, hard, calibration, n_labels=n_labels, zero_shot=zero_shot
        )
        log(
            "cross_validated",
            cv_accuracy=figures["cv_accuracy"],
            zero_shot_reviewed_accuracy=figures["zero_shot_reviewed_accuracy"],
            log_loss=figures["log_loss"],
            calibration_error=figures["expected_calibration_error"],
        )
        log("calibrated", temperature=calibration.temperature, label_noise=calibration.label_noise)
    metrics["temperature"], metrics["calibrated"] = calibration.temperature, choice.calibration is not None
    metrics["label_noise"] = calibration.label_noise if choice.calibration is not None else None
    head = model.freeze(
        temperature=calibration.temperature,
        calibrated=choice.calibration is not None,
        details={"labels": n, "seed": seed, **described}
        | {name: parameters[key] for key, name in _DETAIL_NAMES.items() if key in parameters},
    )
    return TrainedHead(head, metrics)


def cross_validation_metrics(
    oof: F8,
    hard: NDArray[np.int64],
    calibration: Calibration,
    *,
    n_labels: int,
    zero_shot: NDArray[np.int64],
) -> dict[str, Any]:
    """Return the metrics of out-of-fold logits (n, L) on the labels (n,), as JSON; empty bins hold null.

    Confidence is the probability of the reviewer's label, with label noise
    (`Calibration.observed_log_proba`).
    """
    log_proba = calibration.observed_log_proba(oof)
    proba = np.exp(log_proba)
    bins = reliability(proba, hard)
    confusion = np.zeros((n_labels, n_labels), np.int64)
    np.add.at(confusion, (hard, oof.argmax(axis=1)), 1)
    return {
        "n": len(hard),
        "cv_accuracy": float((oof.argmax(axis=1) == hard).mean()),
        "log_loss": float(0.0 - log_proba[np.arange(len(hard)), hard].mean()),  # never minus zero
        "expected_calibration_error": expected_calibration_error(proba, hard),
        "zero_shot_reviewed_accuracy": float((zero_shot == hard).mean()),
        "reliability": {
            "lower": bins.lower.tolist(),
            "upper": bins.upper.tolist(),
            "count": bins.count.tolist(),
            "confidence": _without_nan(bins.confidence),
            "frequency": _without_nan(bins.frequency),
        },
        "confusion": confusion.tolist(),
    }


def _without_nan(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def fitted_parameters(model: HeadEstimator) -> dict[str, Any]:
    """Return the fitted parameters of a model as JSON values."""
    if isinstance(model, GaussianDiscriminant):
        return {"gamma": model.gamma_, "text_scale": model.text_scale_}
    if isinstance(model, PlainLogistic):
        return {"lambda0": model.lambda0_, "whitening_power": model.whitening_power_}
    if isinstance(model, DetailAverage):
        model = model.lead_.model
    assert isinstance(model, LogisticTextPriorHead)
    parameters: dict[str, Any] = {
        "lambda0": model.lambda0_,
        "text_scale": model.text_scale_,
        "whitening_power": model.whitening_power_,
        "trust_in_text": [round(float(value), 6) for value in model.lambdas_ / model.lambdas_.mean()],
    }
    if model.cv_loss_ is not None and model.cv_se_ is not None:
        parameters["cross_validation"] = [
            {"lambda0": float(lam), "log_loss": float(loss), "standard_error": float(error)}
            for lam, loss, error in zip(model.lambda_grid_, model.cv_loss_, model.cv_se_, strict=True)
        ]
    return parameters


def _log_choice(choice: Choice, log: Log) -> None:
    if choice.code == "few_labels":
        log("few_labels")
    for candidate in choice.candidates:
        log(
            "candidate",
            kind=candidate.kind,
            log_loss=candidate.log_loss,
            gap=candidate.gap,
            gap_error=candidate.gap_error,
            taken=candidate.model is choice.model,
        )
    if choice.code == "simpler":
        log("usual_stays")
