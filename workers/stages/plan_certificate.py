"""The forecast of a certificate: what it probably covers and costs, simulated before anything is frozen."""

from typing import Any

from django.utils.translation import gettext_lazy

from mekiki.jobs.models import Job
from mekiki.jobs.payloads import PlanCertificatePayload
from mekiki.learning import models
from mekiki.learning.selectors import champion
from mekiki.quality.models import CertificatePlan
from mekiki.quality.pace import blind_pace
from mekiki.quality.services.certificates import Forecast, PlannedPool, record_forecasts
from workers.errors import StageError
from workers.evaluation.certificates import make_plan
from workers.evaluation.certificates.plan import LIMITS, LIMITS_BY_LABEL, RUNS, PlannedCertificate
from workers.heads.serial import load_head
from workers.locks import learning_lock
from workers.runner import Report
from workers.steps.certificate_plan import PlanInputs, read_plan_inputs
from workers.steps.vectors import load_vectors

# The shares of wrong labels that a plan shows beside the wanted one.
ALPHAS = (0.01, 0.02, 0.05)


def run(job: Job, report: Report) -> dict[str, Any]:
    """Compute and store the forecast of the plan that the payload names. Done twice, it is stored once."""
    plan = (
        CertificatePlan.objects.select_related("dataset", "batch")
        .filter(pk=PlanCertificatePayload.of(job).plan, dataset=job.dataset_id)
        .first()
    )
    if plan is None:
        raise StageError(gettext_lazy("The plan does not exist."))
    if plan.computed_at is not None:
        return {"plan": plan.number}
    with learning_lock(plan.dataset, report):
        current = champion(plan.dataset)
        if current is None:
            raise StageError(
                gettext_lazy(
                    "There are no predictions yet, so nothing can be planned. Write labels and prompts: the "
                    "predictions follow."
                )
            )
        row = models.Head.objects.select_related("encoder").get(pk=current.pk)
        mirror = load_vectors(row.encoder, plan.dataset, report)
        inputs = read_plan_inputs(plan, row, load_head(bytes(row.weights)), mirror, report)
    pace = blind_pace(plan.dataset)
    planned, expected = _simulate(plan, inputs, pace.seconds, report)
    record_forecasts(
        plan=plan,
        head=row,
        pool=PlannedPool(
            pool=inputs.pool,
            candidates=len(inputs.confidence),
            critical_label=inputs.critical_label,
            critical_risk=inputs.critical_risk,
            not_embedded=inputs.not_embedded,
            audited=len(inputs.audited_right),
            audited_right=int(inputs.audited_right.sum()),
            expected_errors=expected,
            seconds=pace.seconds,
            timed_decisions=pace.measured,
        ),
        forecasts=[_forecast(one) for one in planned],
    )
    return {"plan": plan.number, "candidates": len(inputs.confidence), "audited": len(inputs.audited_right)}


def _simulate(
    plan: CertificatePlan, inputs: PlanInputs, seconds: float, report: Report
) -> tuple[list[PlannedCertificate], float]:
    """Return the simulated certificates, and the expected number of wrong predictions of the candidates.

    Without candidates, or without an image of the audit sample, nothing is simulated.
    """
    candidates = len(inputs.confidence)
    if not candidates or not len(inputs.audited_right):
        return [], 0.0
    alphas = sorted({*ALPHAS, plan.alpha})
    offered = LIMITS + LIMITS_BY_LABEL if plan.alpha_by_label else LIMITS
    limits = [limit for limit in offered if limit <= candidates] or [candidates]
    report(stage="simulating audits", done=0, total=RUNS * len(alphas), unit="simulations")
    planned: list[PlannedCertificate] = []
    expected = 0.0
    for place, alpha in enumerate(alphas, start=1):
        made = make_plan(
            inputs.confidence,
            inputs.audited_confidence,
            inputs.audited_right,
            alphas=[alpha],
            delta=plan.delta,
            limits=limits,
            runs=RUNS,
            seconds=seconds * plan.overlap,
            test=plan.test,
            alpha_by_label=plan.alpha_by_label,
            predicted_as={label: inputs.label_ids == int(label) for label in plan.alpha_by_label},
        )
        expected = made.expected_errors
        planned += made.curve
        report(done=place * RUNS)
    return planned, expected


def _forecast(one: PlannedCertificate) -> Forecast:
    return Forecast(
        alpha=one.protocol.alpha,
        limit=one.protocol.limit,
        levels=list(one.protocol.levels),
        images=list(one.images),
        audits=list(one.audits),
        answers=one.answers,
        granted=one.granted,
        minutes=one.minutes,
    )
