"""The API of certificates: their state and their plans, to read. Pages and commands act."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema

from mekiki.accounts.http import user_of
from mekiki.api.review_schemas import ERRORS
from mekiki.datasets.access import dataset_for
from mekiki.quality.certificates import certificate_for, newest_certificates
from mekiki.quality.plans import plan_for
from mekiki.quality.summaries import certificate_summary, plan_summary

router = Router(tags=["certificates"])


class StatementOut(Schema):
    """What a certificate states, and how it is tested. Shares are between 0 and 1."""

    alpha: float
    delta: float
    test: str
    critical_bound: float | None
    alpha_by_label: dict[str, float]
    overlap: int
    import_id: int | None
    scope: str
    public_words: str
    note: str


class PoolOut(Schema):
    """The images of a certificate: without a label of a person, and those that the machine may label."""

    pool: int
    candidates: int
    critical_label: int
    critical_risk: int
    not_embedded: int


class RegionOut(Schema):
    """A region: its images, the judged ones, and the evidence (e-value, or 1 / p-value)."""

    size: int
    judged: int
    other_label: int
    open: int
    evidence: float
    certified: bool
    more: int | None


class ProgressOut(Schema):
    """How far the audit is, and how many images each person judged."""

    drawn: int
    labelled: int
    waiting: int
    unresolved: int
    people: dict[str, int]


class CertificateOut(StatementOut, PoolOut):
    """A certificate with the figures that its page shows.

    While the audit runs, `judged`, `by_machine`, `most_wrong`, `whole_pool` and `regions` change in steps of
    several answers, so that nobody can tell from them which answer was wrong. `seed` is empty until the end.
    `stopped`: why nothing works on the certificate, or empty.
    """

    version: int
    state: str
    limit: int
    levels: list[float]
    head: int | None
    commitment: str
    seed: str
    stop_reason: str
    stopped: str
    progress: ProgressOut
    judged: int
    by_machine: int
    most_wrong: int
    whole_pool: int
    labels_set: int
    regions: list[RegionOut]


class CertificateLineOut(Schema):
    """A certificate in the list."""

    version: int
    state: str
    alpha: float
    delta: float
    note: str


class ForecastOut(Schema):
    """A forecast for one share and one limit. Ranges are the 10 %, 50 % and 90 % quantiles."""

    alpha: float
    limit: int
    levels: list[float]
    images: list[int]
    audits: list[int]
    answers: float
    granted: float
    minutes: float


class ProposalOut(Schema):
    """The limit and the first level that a plan proposes."""

    limit: int
    first: float
    from_forecast: bool


class CertificatePlanOut(StatementOut, PoolOut):
    """A plan of a certificate: a forecast and no promise. `computed` is false while the worker simulates.

    `stopped`: why nothing computes the forecast, or empty.
    """

    number: int
    computed: bool
    error: str
    stopped: str
    head: int | None
    certificate: int | None
    audited: int
    audited_right: int
    expected_errors: float
    seconds: float
    timed_decisions: int
    forecast: str
    remarks: list[str]
    proposal: ProposalOut | None
    forecasts: list[ForecastOut]


@router.get(
    "/{slug:slug}/certificates",
    response={200: list[CertificateLineOut], **ERRORS},
    url_name="certificates",
    summary="The newest certificates of a dataset",
)
def certificates(request: HttpRequest, slug: str) -> list[Any]:
    """Return the newest certificates of a dataset, newest first."""
    return newest_certificates(dataset_for(user_of(request), slug))


@router.get(
    "/{slug:slug}/certificates/{int:version}",
    response={200: CertificateOut, **ERRORS},
    url_name="certificate",
    summary="A certificate with its state",
)
def certificate(request: HttpRequest, slug: str, version: int) -> dict[str, Any]:
    """Return the statement of a certificate, its state, and the figures of its page."""
    return certificate_summary(certificate_for(user_of(request), slug, version))


@router.get(
    "/{slug:slug}/certificate-plans/{int:number}",
    response={200: CertificatePlanOut, **ERRORS},
    url_name="certificate-plan",
    summary="The plan of a certificate",
)
def certificate_plan(request: HttpRequest, slug: str, number: int) -> dict[str, Any]:
    """Return a plan with its forecasts. For admins."""
    return plan_summary(plan_for(user_of(request), slug, number))
