"""Plans of certificates: requested, computed by a worker, and started. Nothing is frozen before the start."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.jobs.models import Kind
from mekiki.jobs.payloads import PlanCertificatePayload
from mekiki.jobs.services import enqueue
from mekiki.learning.models import Head
from mekiki.learning.selectors import champion
from mekiki.quality.models import Certificate, CertificateForecast, CertificatePlan
from mekiki.quality.services.certificates.starting import check_statement, start
from verification.certificates.protocol import Protocol

# The columns of a plan that `plan_again` repeats.
STATEMENT = (
    "alpha",
    "delta",
    "test",
    "critical_bound",
    "alpha_by_label",
    "scope",
    "overlap",
    "batch",
    "public_words",
    "note",
)


@dataclass(frozen=True)
class PlannedPool:
    """What a worker read for a forecast, with the names of the columns of CertificatePlan."""

    pool: int
    candidates: int
    critical_label: int
    critical_risk: int
    not_embedded: int
    audited: int
    audited_right: int
    expected_errors: float
    seconds: float
    timed_decisions: int


@dataclass(frozen=True)
class Forecast:
    """One forecast, with the names of the columns of CertificateForecast."""

    alpha: float
    limit: int
    levels: Sequence[float]
    images: Sequence[int]
    audits: Sequence[int]
    answers: float
    granted: float
    minutes: float


@transaction.atomic
def request_plan(
    *,
    dataset: Dataset,
    user: User,
    protocol: Protocol,
    overlap: int = 1,
    batch: ImportBatch | None = None,
    public_words: str = "",
    note: str = "",
) -> CertificatePlan:
    """Store the wanted statement of a certificate and start the job of its forecast. Nothing is frozen.

    protocol: the statement; its levels and its limit are not used, because the plan proposes them. The other
    arguments are those of `start`.

    Raises PermissionDenied if the user is not an admin. Raises ValidationError if a value is out of range, or
    if no head is in use.
    """
    require_role(user, dataset, Role.ADMIN)
    check_statement(dataset, protocol, overlap, batch, public_words, note)
    statement = {name: getattr(protocol, name) for name in STATEMENT if hasattr(protocol, name)}
    statement["alpha_by_label"] = dict(protocol.alpha_by_label)
    statement["scope"] = dict(protocol.scope)
    return _store(
        dataset,
        user,
        {
            **statement,
            "overlap": overlap,
            "batch": batch,
            "public_words": public_words.strip(),
            "note": note.strip(),
        },
    )


@transaction.atomic
def plan_again(*, plan: CertificatePlan, user: User) -> CertificatePlan:
    """Compute a new plan of the same statement, with the head and the audit sample of now, and return it.

    Raises PermissionDenied if the user is not an admin, and ValidationError if no head is in use.
    """
    require_role(user, plan.dataset, Role.ADMIN)
    return _store(plan.dataset, user, {name: getattr(plan, name) for name in STATEMENT})


def _store(dataset: Dataset, user: User, statement: dict[str, Any]) -> CertificatePlan:
    # The lock ensures that each number is used once.
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    if champion(dataset) is None:
        raise ValidationError(
            _("There are no predictions yet, so nothing can be planned. Write labels and prompts first.")
        )
    last = CertificatePlan.objects.filter(dataset=dataset).aggregate(last=Max("number"))["last"] or 0
    plan = CertificatePlan.objects.create(dataset=dataset, number=last + 1, created_by=user, **statement)
    plan.job = enqueue(
        kind=Kind.PLAN_CERTIFICATE,
        dataset=dataset,
        key=f"plan_certificate:{plan.pk}",
        payload=PlanCertificatePayload(plan=plan.pk).as_json(),
        user=user,
    )
    plan.save(update_fields=["job"])
    record(
        kind="certificate.planned",
        actor=user,
        dataset=dataset,
        target=plan,
        data={"number": plan.number, "alpha": plan.alpha, "delta": plan.delta, "import": plan.batch_id},
    )
    return plan


@transaction.atomic
def record_forecasts(
    *, plan: CertificatePlan, head: Head, pool: PlannedPool, forecasts: Sequence[Forecast]
) -> CertificatePlan:
    """Store the forecast of a plan, and return the plan. A plan that has its forecast is not changed.

    forecasts: empty if the audit sample has no image.
    """
    plan = CertificatePlan.objects.select_for_update(of=("self",)).get(pk=plan.pk)
    if plan.computed_at is not None:
        return plan
    for name, value in vars(pool).items():
        setattr(plan, name, value)
    plan.head = head
    plan.computed_at = clock.now()
    plan.save(update_fields=[*vars(pool), "head", "computed_at"])
    CertificateForecast.objects.bulk_create(
        [CertificateForecast(plan=plan, **vars(forecast)) for forecast in forecasts]
    )
    return plan


@transaction.atomic
def start_planned(*, plan: CertificatePlan, user: User, limit: int, levels: Sequence[float]) -> Certificate:
    """Start the certificate of a plan with this limit and these levels, and return it.

    Raises PermissionDenied if the user is not an admin. Raises ValidationError if a certificate was started
    from this plan already, and as `start` does.
    """
    require_role(user, plan.dataset, Role.ADMIN)
    plan = CertificatePlan.objects.select_for_update(of=("self",)).select_related("dataset").get(pk=plan.pk)
    if plan.certificate_id is not None:
        raise ValidationError(
            _("A certificate was started from this plan already. Nothing was started; make a new plan.")
        )
    try:
        protocol = Protocol(
            alpha=plan.alpha,
            delta=plan.delta,
            limit=limit,
            levels=tuple(levels),
            test=plan.test,
            critical_bound=plan.critical_bound,
            alpha_by_label=plan.alpha_by_label,
            scope=plan.scope,
        )
    except ValueError as error:
        raise ValidationError(
            _("These values do not fit together. Nothing was started; change the values.")
        ) from error
    plan.certificate = start(
        dataset=plan.dataset,
        user=user,
        protocol=protocol,
        overlap=plan.overlap,
        batch=plan.batch,
        public_words=plan.public_words,
        note=plan.note,
    )
    plan.save(update_fields=["certificate"])
    return plan.certificate
