"""What the plan of a certificate is computed from: scores of the candidates, and the audit sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mekiki.labeling.models import Label
from mekiki.learning import models
from mekiki.quality.models import Certificate, CertificatePlan
from verification.certificates.regions import is_candidate
from workers.embeddings import Mirror
from workers.heads.head import LinearHead
from workers.heads.scoring import score
from workers.runner import Report
from workers.steps.auditing import embedded_audit_sample
from workers.steps.certificate_pool import read_pool
from workers.steps.vectors import head_inputs


@dataclass(frozen=True)
class PlanInputs:
    """Scores of the m candidates, and the n images of the audit sample that the machine could label.

    An audited image with a critical or probably critical prediction is left out, as it is no candidate.
    """

    confidence: NDArray[np.float64]  # (m,)
    label_ids: NDArray[np.int64]  # (m,) the predicted labels
    audited_confidence: NDArray[np.float64]  # (n,)
    audited_right: NDArray[np.bool_]  # (n,) whether the first blind label is the prediction
    pool: int
    critical_label: int
    critical_risk: int
    not_embedded: int


def read_plan_inputs(
    plan: CertificatePlan, row: models.Head, head: LinearHead, mirror: Mirror, report: Report
) -> PlanInputs:
    """Return the scores that a certificate of this plan would freeze now, and those of the audit sample."""
    # Not stored: it names the pool of this scope.
    wanted = Certificate(dataset=plan.dataset, batch=plan.batch, scope=plan.scope)
    pool = read_pool(wanted, row, head, mirror, report)
    candidate = _candidates(pool.is_critical, pool.critical_probability, plan.critical_bound)
    sample = embedded_audit_sample(plan.dataset, mirror, row.label_ids)
    vectors = head_inputs(head, mirror, sample.rows)
    confidence, right = np.zeros(0), np.zeros(0, bool)
    if len(sample.rows):
        scores = score(head, vectors)
        critical = _critical_columns(row)
        risk = head.predict_proba(vectors)[:, critical].sum(axis=1)
        kept = _candidates(np.isin(scores.label, critical), risk, plan.critical_bound)
        if "label" in plan.scope:
            kept &= np.asarray(row.label_ids)[scores.label] == int(plan.scope["label"])
        confidence = scores.confidence.astype(np.float64)[kept]
        right = (scores.label == sample.truth)[kept]
    critical_label = int(pool.is_critical.sum())
    return PlanInputs(
        confidence=pool.confidence[candidate],
        label_ids=pool.label_ids[candidate],
        audited_confidence=confidence,
        audited_right=right,
        pool=len(pool.image_ids),
        critical_label=critical_label,
        critical_risk=int((~candidate).sum()) - critical_label,
        not_embedded=pool.not_embedded,
    )


def _critical_columns(row: models.Head) -> NDArray[np.int64]:
    critical = set(Label.objects.filter(pk__in=row.label_ids, critical=True).values_list("pk", flat=True))
    return np.flatnonzero([label_id in critical for label_id in row.label_ids])


def _candidates(
    is_critical: NDArray[np.bool_], risk: NDArray[np.floating], bound: float | None
) -> NDArray[np.bool_]:
    return np.array(
        [is_candidate(bool(one), float(p), bound) for one, p in zip(is_critical, risk, strict=True)], bool
    )
