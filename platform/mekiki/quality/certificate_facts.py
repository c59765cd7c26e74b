"""Texts of the page of a certificate: the statement, the state of each region, and earlier attempts."""

import math
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.figures import count, decimal
from mekiki.quality.certificate_progress import answered, evidence_lines, shown_checks
from mekiki.quality.certificates import attempts_before, protocol_of
from mekiki.quality.chart_lines import ChartLine
from mekiki.quality.models import Certificate, CertificateCheck
from verification.certificates.protocol import PLANNED
from verification.certificates.spending import Numbers

_State = Certificate.State
MOST_SHOWN = 1_000_000  # a larger evidence says nothing more


def percent(share: float) -> str:
    """Return a share as a percentage with as few digits as it needs, such as “2 %” or “0.5 %”."""
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + " %"


def between(low: int, high: int) -> str:
    """Return a range of numbers, such as “150 to 230”, or one number if both are equal."""
    if low == high:
        return count(low)
    return _("%(low)s to %(high)s") % {"low": count(low), "high": count(high)}


def statement(certificate: Certificate) -> str:
    """Return the statement of a certificate in one sentence."""
    return _(
        "At most %(alpha)s of the labels that the machine sets under this certificate are wrong, compared "
        "with the decisions of the reviewers. The risk that this statement is false is at most %(risk)s."
    ) % {"alpha": percent(certificate.alpha), "risk": percent(certificate.delta)}


def attempts_sentence(certificate: Certificate) -> str:
    """Return how many certificates were started before this one, or an empty text for the first one."""
    earlier = attempts_before(certificate)
    if not earlier:
        return ""
    return ngettext(
        "%(n)d certificate of this dataset was started before this one. Each attempt has its own risk.",
        "%(n)d certificates of this dataset were started before this one. Each attempt has its own risk.",
        earlier,
    ) % {"n": earlier}


@dataclass(frozen=True)
class RegionRow:
    """One region as the page shows it.

    share: part of the candidates, such as “70 %”. audits: images with a label, and `errors` of them have
    another label than the prediction. open: images that wait, or were skipped or flagged. evidence: the
    e-value of the watched test, or 1 / p-value. more: answers that would certify the region if all of them
    are right, or None if the limit does not allow it.
    """

    size: int
    share: str
    audits: int
    errors: int
    open: int
    evidence: float
    certified: bool
    more: int | None

    @property
    def evidence_words(self) -> str:
        """The evidence, rounded down: “3.4”, “187”, or “over 1,000,000”."""
        if self.evidence > MOST_SHOWN:
            return _("over %(n)s") % {"n": count(MOST_SHOWN)}
        if self.evidence >= 10:
            return count(int(self.evidence))
        return decimal(math.floor(self.evidence * 10) / 10, 1)


@dataclass(frozen=True)
class AuditFacts:
    """The newest check that may be shown, with its regions, and the evidence of all such checks.

    answered: images with a label at this check. by_machine and by_people: images of the pool, if the audit
    ended now.
    """

    check: CertificateCheck
    rows: list[RegionRow]
    lines: list[ChartLine]
    answered: int
    by_machine: int
    by_people: int

    @property
    def next_row(self) -> RegionRow | None:
        """The smallest region that is not certified yet, or None."""
        return next((row for row in self.rows if not row.certified), None)


def left_out_sentence(certificate: Certificate) -> str:
    """Return which images were left to people from the start, or an empty text if there are none."""
    numbers = (certificate.critical_label, certificate.critical_risk, certificate.not_embedded)
    if not any(numbers):
        return ""
    label, risk, bare = map(count, numbers)
    return _(
        "%(label)s predicted as a critical label, %(risk)s with a probable critical label, %(bare)s without "
        "an embedding"
    ) % {"label": label, "risk": risk, "bare": bare}


def audit_facts(certificate: Certificate) -> AuditFacts | None:
    """Return the state of the audit by the newest check that may be shown, or None before the first check."""
    checks = shown_checks(certificate)
    if not checks:
        return None
    check = checks[-1]
    return AuditFacts(
        check=check,
        rows=_region_rows(certificate, check),
        lines=evidence_lines(certificate, checks),
        answered=answered(check),
        by_machine=check.left,
        by_people=certificate.pool - check.left,
    )


def _region_rows(certificate: Certificate, check: CertificateCheck) -> list[RegionRow]:
    numbers = Numbers(protocol_of(certificate), certificate.candidates)
    rows = []
    for place, size in enumerate(check.regions):
        still_open = check.region_open[place] if check.region_open else 0
        # What is open counts as wrong in the test. Here the question is what is needed if it turns out right.
        audits, errors = check.region_audits[place] - still_open, check.region_errors[place] - still_open
        more = None
        if certificate.test == PLANNED:
            more = max(0, min(certificate.limit, size) - audits)
        elif errors < len(numbers.left[place]):
            more = max(0, numbers.left[place][errors] - audits)
        evidence = math.exp(check.evidence[place]) if check.evidence else 1 / max(1e-9, check.p_values[place])
        rows.append(
            RegionRow(
                size=size,
                share=percent(round(size / certificate.candidates, 3)),
                audits=audits,
                errors=errors,
                open=still_open,
                evidence=evidence,
                certified=size <= check.certified,
                more=more,
            )
        )
    return rows


def next_step(certificate: Certificate, facts: AuditFacts | None) -> str:
    """Return what happens next while the audit runs, in one or two sentences."""
    if facts is None or facts.next_row is None:
        return _("The audit ends by itself after the last answer that is waited for.")
    row = facts.next_row
    if certificate.test == PLANNED:
        return _(
            "All %(n)s images must be judged before anything is decided. Then the audit ends by itself."
        ) % {"n": count(min(certificate.limit, facts.rows[-1].size))}
    values = {"now": count(facts.by_machine), "size": count(row.size), "n": count(row.more)}
    if row.more is None:
        text = _("With the answers so far, the %(size)s most confident images cannot be certified any more.")
    elif row.more == 0:
        text = _("The %(size)s most confident images wait for the answers that are still open.")
    else:
        text = ngettext(
            "The %(size)s most confident images are certified after %(n)s more answer, if it is right.",
            "The %(size)s most confident images are certified after %(n)s more answers, if all are right.",
            row.more,
        )
    if row.more is not None and certificate.alpha_by_label:
        text += " " + _("The limits of single labels can need more answers.")
    if facts.by_machine:
        text = _("%(now)s labels by machine are certified already.") + " " + text
    text += " " + _("The audit ends by itself when further answers cost more than they save.")
    return text % values


def outcome_of_plan(certificate: Certificate) -> str:
    """Return what the plan expected, for comparison with the result, or an empty text without a forecast."""
    plan = getattr(certificate, "plan", None)
    if plan is None:
        return ""
    forecast = plan.forecasts.filter(alpha=plan.alpha, limit=certificate.limit).first()
    if forecast is None or forecast.levels != certificate.levels:
        return ""
    return _("The plan expected %(images)s labels by machine after %(audits)s audited images.") % {
        "images": between(forecast.images[0], forecast.images[2]),
        "audits": between(forecast.audits[0], forecast.audits[2]),
    }
