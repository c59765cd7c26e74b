"""One call from confirmed labels to a calibrated head, its figures and a log a person can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.calibration import expected_calibration_error, fit_temperature
from workers.heads.head import LogisticHead, check_vectors
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import log_softmax


@dataclass(frozen=True)
class TrainedHead:
    """A head and how it came about. ``metrics`` holds JSON values only."""

    head: LogisticHead
    metrics: dict[str, Any]


def train_head(
    X: ArrayLike,
    y: ArrayLike,
    *,
    text: ArrayLike,
    logit_scale: float,
    seed: int = 0,
    log: Callable[[str], None] = lambda line: None,
    sample_weight: ArrayLike | None = None,
) -> TrainedHead:
    """Fit the logistic head with the text prior, and calibrate it on its out-of-fold scores.

    The figures under ``cross_validated_on_reviewed_labels`` describe the labels people happened to be asked
    about, which are the hard ones: they compare one head with the next, and are no estimate of accuracy on
    the dataset. That comes from the audit stream alone.

    Args:
        X: (n, d) unit vectors of the labelled images. y: (n,) label indices (or (n, L) soft labels).
        text: (L, d) text directions. logit_scale: the encoder's. seed: of the folds.
        log: called with one line at a time. sample_weight: (n,).

    Raises:
        ValueError, NonFiniteVectors: as `LogisticTextPriorHead.fit`.
    """
    target = np.asarray(y)
    directions = check_vectors(text)
    n_labels = len(directions)
    model = LogisticTextPriorHead(directions, logit_scale=logit_scale, seed=seed)
    model.fit(X, target, sample_weight=sample_weight)
    hard = target.argmax(axis=1) if target.ndim == 2 else target.astype(np.int64)
    counts = np.bincount(hard, minlength=n_labels) if len(hard) else np.zeros(n_labels, np.int64)
    n = int(counts.sum())
    log(f"{n} labels over {int((counts > 0).sum())} of {n_labels} classes; {directions.shape[1]} dimensions")
    if (counts == 0).any():
        log(f"{int((counts == 0).sum())} classes have no label yet: they rest on their prompts")

    metrics: dict[str, Any] = {
        "n": n,
        "labels_per_class": [int(count) for count in counts],
        "lambda0": model.lambda0_,
        "text_scale": model.text_scale_,
        "evenness": model.evenness_,
        "trust_in_text": [round(float(value), 6) for value in model.lambdas_ / model.lambdas_.mean()],
        "cross_validated_on_reviewed_labels": None,
    }
    log(
        f"trust in the prompts' own scale: {model.text_scale_:.2f} (1 is the encoder's, 0 ignores the prompts)"
    )
    temperature, calibrated = 1.0, False
    oof = model.oof_logits_
    if oof is None or model.cv_loss_ is None or model.cv_se_ is None:
        log(
            f"fewer than about two labels a class: prior strength fixed at {model.lambda0_:.3g}, uncalibrated"
        )
    else:
        temperature, calibrated = fit_temperature(oof, target, sample_weight=sample_weight), True
        logp = log_softmax(oof / temperature)
        text_agreement = float((check_vectors(X) @ directions.T).argmax(axis=1).__eq__(hard).mean())
        metrics["cross_validated_on_reviewed_labels"] = {
            "n": n,
            "agreement": float((oof.argmax(axis=1) == hard).mean()),
            "log_loss": float(-logp[np.arange(n), hard].mean()),
            "expected_calibration_error": expected_calibration_error(np.exp(logp), hard),
            "zero_shot_agreement": text_agreement,
        }
        metrics["cross_validation"] = [
            {"lambda0": float(lam), "log_loss": float(loss), "standard_error": float(error)}
            for lam, loss, error in zip(model.lambda_grid_, model.cv_loss_, model.cv_se_, strict=True)
        ]
        figures = metrics["cross_validated_on_reviewed_labels"]
        log(f"prior strength {model.lambda0_:.3g} by {model.folds}-fold log-loss, one-standard-error rule")
        log(
            f"on the reviewed labels, cross-validated: agreement {figures['agreement']:.1%} (prompts alone "
            f"{text_agreement:.1%}), log-loss {figures['log_loss']:.3f}, calibration error "
            f"{figures['expected_calibration_error']:.3f} (a sample of hard images: no estimate of accuracy)"
        )
        log(f"temperature {temperature:.3f}, fitted on out-of-fold scores")
    metrics["temperature"], metrics["calibrated"] = temperature, calibrated
    head = model.freeze(
        temperature=temperature,
        calibrated=calibrated,
        details={
            "labels": n,
            "lambda0": model.lambda0_,
            "text_scale": model.text_scale_,
            "evenness": model.evenness_,
            "seed": seed,
        },
    )
    return TrainedHead(head, metrics)
