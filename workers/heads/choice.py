"""Choice of the kind of head by cross-validation; all kinds share the same folds.

The head with the text prior is the default. A challenger replaces it only if its log-loss is lower by more
than two standard errors of the paired difference. With one standard error, a challenger that was worse on new
images was often chosen after a dozen labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.averaging import DetailAverage
from workers.heads.calibration import Calibration, fit_calibration
from workers.heads.estimator import HeadEstimator, LabelledData
from workers.heads.gaussian import GaussianDiscriminant
from workers.heads.joint import DetailBlock, check_detail
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
    strengths: tuple[tuple[float, float], ...] = ()  # (γ, weight) of each head that is averaged
    block: DetailBlock | None = None  # of the heaviest of them; None: the head is one of the embedding alone

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
    groups: NDArray[np.int64] | None = None,
) -> Choice:
    """Cross-validate each kind on (n, d) vectors and labels, and return the choice, fitted on all labels.

    Below two labels a class no kinds can be compared: the default is chosen, uncalibrated.

    detail: (n, k) detail descriptors. The default is then an average of heads with different strengths γ of
    the detail, and the other kinds are fitted with the γ of its heaviest head. The chosen head is a linear
    map of (n, d + k) [embedding ; detail], or of the embedding alone if no averaged head reads the detail.

    groups: (n,) numbers of groups of near-duplicates, which share a fold, or None.

    Raises:
        ValueError: an unknown kind, or `kinds` without the default. Others as `HeadEstimator.fit`.
    """
    if DEFAULT not in kinds or not set(kinds) <= set(KINDS):
        raise ValueError(f"kinds must hold {DEFAULT!r} and be among {', '.join(KINDS)}")
    default: HeadEstimator
    default = lead = LogisticTextPriorHead(class_embeddings, logit_scale=logit_scale, seed=seed)
    data = read = lead.prepare(X, y, sample_weight, groups)
    block: DetailBlock | None = None
    strengths: tuple[tuple[float, float], ...] = ()
    if detail is None:
        lead.choose_parameters(data.subset)
    else:
        average, joined = _average(lead, data, check_detail(detail, len(data)))
        default = lead = average.lead_.model
        strengths = average.strengths_
        if average.reads_detail_:
            default, data, block = average, joined, average.lead_.block
            read = average.joined(data)
    default.cross_validate(data)
    if default.oof_logits_ is None:
        return Choice("few_labels", default.refit(data), None, (), strengths, block)
    models: dict[str, tuple[HeadEstimator, LabelledData]] = {DEFAULT: (default, data)}
    if "gaussian" in kinds:
        gaussian = GaussianDiscriminant(lead.class_embeddings, logit_scale=logit_scale, seed=seed)
        models["gaussian"] = gaussian.choose_parameters(read.subset), read
    if "plain" in kinds:
        # The metric is the default head's: to choose it again would double the training time.
        plain = PlainLogistic(
            lead.class_embeddings,
            logit_scale=logit_scale,
            whitening_power=lead.whitening_power_,
            seed=seed,
            start_from=lead,
        )
        models["plain"] = plain.choose_parameters(read.subset), read
    # Kinds are compared on all labels: prompts can help with 2,000 labels and harm with 20,000.
    candidates = add_gaps(
        [
            _candidate(kind, model.cross_validate(vectors), data.Y, data.v)
            for kind, (model, vectors) in models.items()
        ],
        data.v,
    )
    best = min(candidates, key=lambda candidate: candidate.log_loss)
    usual = candidates[0]
    keep_default = usual.gap <= MIN_LEAD * usual.gap_error
    chosen = usual if keep_default else best
    code = "best" if chosen is best else "simpler"
    model, vectors = models[chosen.kind]
    model.refit(vectors)
    if block is not None and model is not default:
        model.coef_, model.intercept_ = block.unfold(model.coef_, model.intercept_, logit_scale)
    return Choice(code, model, chosen.calibration, tuple(candidates), strengths, block)


def _average(
    usual: LogisticTextPriorHead, data: LabelledData, detail: F8
) -> tuple[DetailAverage, LabelledData]:
    """Return the average of heads with the detail (n, k), with its parameters, and the data that it reads."""
    average = DetailAverage(
        usual.class_embeddings, detail_dim=detail.shape[1], logit_scale=usual.logit_scale, seed=usual.seed
    )
    joined = replace(data, vectors=np.concatenate([data.vectors, detail], axis=1))
    average.choose_parameters(joined.subset)
    return average, joined


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
