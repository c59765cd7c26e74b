"""Which kind of head the labels speak for: one cross-validation, the same folds for all.

The head with the text prior is the default. A challenger takes its place where its cross-validated log-loss is lower
by more than two standard errors of the difference: the rows share their luck, so it is the difference that counts.
With one error instead, a dozen labels were often taken in by a challenger that then did worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from workers.heads.calibration import Calibration, fit_calibration
from workers.heads.estimator import HeadEstimator
from workers.heads.gaussian import GaussianDiscriminant
from workers.heads.logistic import LogisticTextPriorHead
from workers.heads.objective import F8
from workers.heads.plain import PlainLogistic

DEFAULT = "logistic"
ERRORS_AHEAD = 2.0
KINDS = (DEFAULT, "gaussian", "plain")


@dataclass(frozen=True)
class Candidate:
    """One kind of head, and how it did on each label out of fold. Only the one that is taken is fitted on all labels."""

    kind: str
    model: HeadEstimator
    calibration: Calibration
    loss: F8  # (n,) log-loss in nats of each answer, out of fold and calibrated
    log_loss: float  # their weighted mean
    agreement: float  # weighted share of answers it gives too
    gap: float = 0.0  # log_loss minus the least of all candidates
    gap_error: float = 0.0  # its standard error


@dataclass(frozen=True)
class Choice:
    """``code``: "few_labels", "best" (least log-loss, clearly or as the default) or "simpler" (the default stays
    although another is ahead, by no more than chance would have it). ``candidates`` is empty with few labels."""

    code: str
    model: HeadEstimator
    calibration: Calibration | None  # None: too few labels to calibrate
    candidates: tuple[Candidate, ...] = ()

    def facts(self) -> list[dict[str, Any]]:
        """The candidates as JSON values."""
        return [
            {
                "kind": each.kind,
                "log_loss": each.log_loss,
                "gap": each.gap,
                "gap_error": each.gap_error,
                "agreement": each.agreement,
                "chosen": each.model is self.model,
            }
            for each in self.candidates
        ]


def choose_head(
    X: ArrayLike,
    y: ArrayLike,
    *,
    text: ArrayLike,
    logit_scale: float,
    seed: int = 0,
    sample_weight: ArrayLike | None = None,
    kinds: tuple[str, ...] = KINDS,
) -> Choice:
    """Fit each kind on (n, d) vectors and labels, and choose.

    Below two labels a class nothing can be compared: the default is taken, uncalibrated.

    Raises:
        ValueError: an unknown kind, or no default among them. As `HeadEstimator.fit`.
    """
    if DEFAULT not in kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must hold {DEFAULT!r} and be among {', '.join(KINDS)}")
    default = LogisticTextPriorHead(text, logit_scale=logit_scale, seed=seed)
    data = default.labelled(X, y, sample_weight)
    few = data.few
    default.choose(few).cross_validate(data)
    if default.oof_logits_ is None:
        return Choice("few_labels", default.complete(data), None)
    models: dict[str, HeadEstimator] = {DEFAULT: default}
    if "gaussian" in kinds:
        models["gaussian"] = GaussianDiscriminant(text, logit_scale=logit_scale, seed=seed).choose(few)
    if "plain" in kinds:
        # In the metric the default found best: asking again would double what a training costs.
        plain = PlainLogistic(
            text, logit_scale=logit_scale, evenness=default.evenness_, seed=seed, beside=default
        )
        models["plain"] = plain.choose(few)
    # A part of many labels narrows strengths down; kinds it would misjudge: prompts that help beside 2,000 labels can
    # be in the way beside 20,000.
    candidates = compared(
        [_candidate(kind, model.cross_validate(data), data.Y, data.v) for kind, model in models.items()],
        data.v,
    )
    best = min(candidates, key=lambda each: each.log_loss)
    usual = candidates[0]
    stays = usual.gap <= ERRORS_AHEAD * usual.gap_error
    chosen = usual if stays else best
    code = "best" if chosen is best else "simpler"
    return Choice(code, chosen.model.complete(data), chosen.calibration, tuple(candidates))


def _candidate(kind: str, model: HeadEstimator, Y: F8, v: F8) -> Candidate:
    logits = model.oof_logits_
    assert logits is not None  # all kinds are compared on the same rule
    calibration = fit_calibration(logits, Y, sample_weight=v)
    loss = -(Y * calibration.log_answers(logits)).sum(axis=1)
    right = logits.argmax(axis=1) == Y.argmax(axis=1)
    return Candidate(
        kind,
        model,
        calibration,
        loss,
        float(np.average(loss, weights=v)),
        float(np.average(right, weights=v)),
    )


def compared(candidates: list[Candidate], v: F8) -> list[Candidate]:
    """The same candidates with how far each is behind the best, and the standard error of that."""
    best = min(candidates, key=lambda each: each.log_loss)
    answer = []
    for each in candidates:
        gap = (each.loss - best.loss) * v * (len(v) / float(v.sum()))
        error = float(gap.std(ddof=1) / np.sqrt(len(v)))
        answer.append(
            Candidate(
                each.kind,
                each.model,
                each.calibration,
                each.loss,
                each.log_loss,
                each.agreement,
                each.log_loss - best.log_loss,
                error,
            )
        )
    return answer
