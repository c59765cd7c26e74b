"""One call from confirmed labels to a calibrated head, its figures and a log a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.calibration import Calibration, expected_calibration_error, reliability
from workers.heads.choice import KINDS, Choice, choose_head
from workers.heads.estimator import HeadEstimator
from workers.heads.gaussian import GaussianDiscriminant
from workers.heads.head import LinearHead, check_vectors
from workers.heads.log import Log, silent
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8
from workers.heads.plain import PlainLogistic


@dataclass(frozen=True)
class TrainedHead:
    """A head and how it came about. ``metrics`` holds JSON values only."""

    head: LinearHead
    metrics: dict[str, Any]


def train_head(
    X: ArrayLike,
    y: ArrayLike,
    *,
    text: ArrayLike,
    logit_scale: float,
    seed: int = 0,
    log: Log = silent,
    sample_weight: ArrayLike | None = None,
    kinds: tuple[str, ...] = KINDS,
) -> TrainedHead:
    """Fit every kind of head, keep the one cross-validation speaks for, and calibrate it out of fold.

    The figures under ``cross_validated_on_reviewed_labels`` describe the labels people happened to be asked
    about, which are the hard ones: they compare one head with the next, and are no estimate of accuracy on
    the dataset. That comes from the audit stream alone.

    Args:
        X: (n, d) unit vectors of the labelled images. y: (n,) label indices (or (n, L) soft labels).
        text: (L, d) text directions. logit_scale: the encoder's. seed: of the folds.
        log: told each step as a code with values; `workers.heads.log.in_english(print)` prints sentences.
        sample_weight: (n,). kinds: as in `choose_head`.

    Raises:
        ValueError, NonFiniteVectors: as `HeadEstimator.fit`.
    """
    target = np.asarray(y)
    directions = check_vectors(text)
    n_labels = len(directions)
    choice = choose_head(
        X,
        target,
        text=directions,
        logit_scale=logit_scale,
        seed=seed,
        sample_weight=sample_weight,
        kinds=kinds,
    )
    hard = target.argmax(axis=1) if target.ndim == 2 else target.astype(np.int64)
    counts = np.bincount(hard, minlength=n_labels) if len(hard) else np.zeros(n_labels, np.int64)
    n = int(counts.sum())
    seen = int((counts > 0).sum())
    log("labels", n=n, seen=seen, classes=n_labels, dimensions=directions.shape[1])
    if seen < n_labels:
        log("unlabelled", classes=n_labels - seen)

    model, calibration = choice.model, choice.calibration or Calibration()
    own = facts_of(model)
    metrics: dict[str, Any] = {
        "n": n,
        "labels_per_class": [int(count) for count in counts],
        "choice": {"code": choice.code},
        "candidates": choice.facts(),
        **own,
        "cross_validated_on_reviewed_labels": None,
    }
    _tell_choice(choice, log)
    if "text_scale" in own:
        log("text_scale", scale=own["text_scale"])
    oof = model.oof_logits_
    if oof is not None and choice.calibration is not None:
        zero_shot = (check_vectors(X) @ directions.T).argmax(axis=1)
        metrics["cross_validated_on_reviewed_labels"] = figures = cross_validated(
            oof, hard, calibration, n_labels=n_labels, zero_shot=zero_shot
        )
        log(
            "cross_validated",
            agreement=figures["agreement"],
            zero_shot_agreement=figures["zero_shot_agreement"],
            log_loss=figures["log_loss"],
            calibration_error=figures["expected_calibration_error"],
        )
        log("calibrated", temperature=calibration.temperature, slips=calibration.slips)
    metrics["temperature"], metrics["calibrated"] = calibration.temperature, choice.calibration is not None
    metrics["slips"] = calibration.slips if choice.calibration is not None else None
    kept = ("lambda0", "text_scale", "evenness", "gamma")
    head = model.freeze(
        temperature=calibration.temperature,
        calibrated=choice.calibration is not None,
        details={"labels": n, "seed": seed} | {name: own[name] for name in kept if name in own},
    )
    return TrainedHead(head, metrics)


def cross_validated(
    oof: F8,
    hard: NDArray[np.int64],
    calibration: Calibration,
    *,
    n_labels: int,
    zero_shot: NDArray[np.int64],
) -> dict[str, Any]:
    """Figures of out-of-fold logits (n, L) against the answers (n,), as JSON values; empty bins hold null.

    Confidence here is that people will say the same, slips allowed for (`Calibration.log_answers`).
    """
    log_said = calibration.log_answers(oof)
    said = np.exp(log_said)
    bins = reliability(said, hard)
    confusion = np.zeros((n_labels, n_labels), np.int64)
    np.add.at(confusion, (hard, oof.argmax(axis=1)), 1)
    return {
        "n": len(hard),
        "agreement": float((oof.argmax(axis=1) == hard).mean()),
        "log_loss": float(0.0 - log_said[np.arange(len(hard)), hard].mean()),  # never minus zero
        "expected_calibration_error": expected_calibration_error(said, hard),
        "zero_shot_agreement": float((zero_shot == hard).mean()),
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


def facts_of(model: HeadEstimator) -> dict[str, Any]:
    """What a kind of head has to tell of its fit, as JSON values."""
    if isinstance(model, GaussianDiscriminant):
        return {"gamma": model.gamma_, "text_scale": model.text_scale_}
    if isinstance(model, PlainLogistic):
        return {"lambda0": model.lambda0_, "evenness": model.evenness_}
    assert isinstance(model, LogisticTextPriorHead)
    facts: dict[str, Any] = {
        "lambda0": model.lambda0_,
        "text_scale": model.text_scale_,
        "evenness": model.evenness_,
        "trust_in_text": [round(float(value), 6) for value in model.lambdas_ / model.lambdas_.mean()],
    }
    if model.cv_loss_ is not None and model.cv_se_ is not None:
        facts["cross_validation"] = [
            {"lambda0": float(lam), "log_loss": float(loss), "standard_error": float(error)}
            for lam, loss, error in zip(model.lambda_grid_, model.cv_loss_, model.cv_se_, strict=True)
        ]
    return facts


def _tell_choice(choice: Choice, log: Log) -> None:
    if choice.code == "few_labels":
        log("few_labels")
    for each in choice.candidates:
        log(
            "candidate",
            kind=each.kind,
            log_loss=each.log_loss,
            gap=each.gap,
            gap_error=each.gap_error,
            taken=each.model is choice.model,
        )
    if choice.code == "simpler":
        log("usual_stays")
