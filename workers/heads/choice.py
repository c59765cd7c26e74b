"""Choice of the kind of head by cross-validation; all kinds share the same folds.

The head with the text prior is the default. A challenger replaces it only if its log-loss is lower by more
than two standard errors of the paired difference. With one standard error, a challenger that was worse on new
images was often chosen after a dozen labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.calibration import Calibration, fit_calibration
from workers.heads.estimator import HeadEstimator, LabelledData
from workers.heads.gaussian import GaussianDiscriminant
from workers.heads.head import check_vectors
from workers.heads.joint import DetailBlock, check_detail, choose_block, pad_text
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8
from workers.heads.plain import PlainLogistic

DEFAULT = "logistic"
MIN_LEAD = 2.0  # standard errors by which a challenger must lead
KINDS = (DEFAULT, "gaussian", "plain")


@dataclass(frozen=True)
class Candidate:
    """One kind of head with its out-of-fold results; only the chosen candidate is fitted on all labels."""

    kind: str
    model: HeadEstimator
    calibration: Calibration
    loss: F8  # (n,) log-loss in nats of each label, out of fold and calibrated
    log_loss: float  # weighted mean of loss
    cv_accuracy: float  # weighted share of labels predicted correctly, out of fold
    gap: float = 0.0  # log_loss minus the lowest of all candidates
    gap_error: float = 0.0  # standard error of gap


@dataclass(frozen=True)
class Choice:
    """The chosen head and the candidates, which are empty with few labels.

    ``code`` is "few_labels", "best" (the lowest log-loss) or "simpler" (the default is kept although a
    challenger leads, because the lead can be chance).
    """

    code: str
    model: HeadEstimator
    calibration: Calibration | None  # None: too few labels to calibrate
    candidates: tuple[Candidate, ...] = ()
    block: DetailBlock | None = None  # None: the head is one of the embedding alone

    def facts(self) -> list[dict[str, Any]]:
        """Return the candidates as JSON values."""
        return [
            {
                "kind": candidate.kind,
                "log_loss": candidate.log_loss,
                "gap": candidate.gap,
                "gap_error": candidate.gap_error,
                "cv_accuracy": candidate.cv_accuracy,
                "chosen": candidate.model is self.model,
            }
            for candidate in self.candidates
        ]


def choose_head(
    X: ArrayLike,
    y: ArrayLike,
    *,
    class_embeddings: ArrayLike,
    logit_scale: float,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
    kinds: tuple[str, ...] = KINDS,
    detail: ArrayLike | None = None,
) -> Choice:
    """Cross-validate each kind on (n, d) vectors and labels, and return the choice, fitted on all labels.

    Below two labels a class no kinds can be compared: the default is chosen, uncalibrated.

    detail: (n, k) detail descriptors. The relative strength γ of the detail is chosen first, with the default
    kind. Unless γ is 0, all kinds are then fitted on the joined vectors, and the chosen head is a linear map
    of (n, d + k) [embedding ; detail].

    Raises:
        ValueError: an unknown kind, or `kinds` without the default. Others as `HeadEstimator.fit`.
    """
    if DEFAULT not in kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must hold {DEFAULT!r} and be among {', '.join(KINDS)}")
    default = LogisticTextPriorHead(class_embeddings, logit_scale=logit_scale, seed=seed)
    data = default.prepare(X, y, sample_weight)
    subset = data.subset
    default.choose_parameters(subset)
    block = None
    if detail is not None:
        values = check_detail(detail, len(data))
        block = choose_block(default, data, values)
        if block is not None:
            class_embeddings = pad_text(check_vectors(class_embeddings), values.shape[1])
            default = LogisticTextPriorHead(class_embeddings, logit_scale=logit_scale, seed=seed)
            data = replace(data, vectors=block.join(data.vectors, values))
            subset = data.subset
            default.choose_parameters(subset)
    default.cross_validate(data)
    if default.oof_logits_ is None:
        return Choice("few_labels", _fitted(default, data, block), None, block=block)
    models: dict[str, HeadEstimator] = {DEFAULT: default}
    if "gaussian" in kinds:
        gaussian = GaussianDiscriminant(class_embeddings, logit_scale=logit_scale, seed=seed)
        models["gaussian"] = gaussian.choose_parameters(subset)
    if "plain" in kinds:
        # The metric is the default head's: to choose it again would double the training time.
        plain = PlainLogistic(
            class_embeddings,
            logit_scale=logit_scale,
            whitening_power=default.whitening_power_,
            seed=seed,
            start_from=default,
        )
        models["plain"] = plain.choose_parameters(subset)
    # Kinds are compared on all labels: prompts can help with 2,000 labels and harm with 20,000.
    candidates = add_gaps(
        [_candidate(kind, model.cross_validate(data), data.Y, data.v) for kind, model in models.items()],
        data.v,
    )
    best = min(candidates, key=lambda candidate: candidate.log_loss)
    usual = candidates[0]
    keep_default = usual.gap <= MIN_LEAD * usual.gap_error
    chosen = usual if keep_default else best
    code = "best" if chosen is best else "simpler"
    model = _fitted(chosen.model, data, block)
    return Choice(code, model, chosen.calibration, tuple(candidates), block)


def _fitted(model: HeadEstimator, data: LabelledData, block: DetailBlock | None) -> HeadEstimator:
    """Return the model fitted on all labels, as one of [embedding ; raw detail] where there is a block."""
    model.refit(data)
    if block is not None:
        block.unfold(model)
    return model


def _candidate(kind: str, model: HeadEstimator, Y: F8, v: F8) -> Candidate:
    logits = model.oof_logits_
    assert logits is not None  # kinds are compared only where there are folds
    calibration = fit_calibration(logits, Y, sample_weight=v)
    loss = -(Y * calibration.observed_log_proba(logits)).sum(axis=1)
    correct = logits.argmax(axis=1) == Y.argmax(axis=1)
    return Candidate(
        kind,
        model,
        calibration,
        loss,
        float(np.average(loss, weights=v)),
        float(np.average(correct, weights=v)),
    )


def add_gaps(candidates: list[Candidate], v: F8) -> list[Candidate]:
    """Return the candidates with their log-loss gap to the best and its standard error; v (n,) weights."""
    best = min(candidates, key=lambda candidate: candidate.log_loss)
    compared = []
    for candidate in candidates:
        gap = (candidate.loss - best.loss) * v * (len(v) / float(v.sum()))
        error = float(gap.std(ddof=1) / np.sqrt(len(v)))
        compared.append(replace(candidate, gap=candidate.log_loss - best.log_loss, gap_error=error))
    return compared
