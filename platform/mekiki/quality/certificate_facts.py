"""Texts of the page of a certificate: the statement, the state of each region, and earlier attempts."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.figures import count
from mekiki.quality.certificates import attempts_before, protocol_of
from mekiki.quality.models import Certificate, CertificateCheck
from verification.certificates.protocol import PLANNED
from verification.certificates.spending import Numbers

_State = Certificate.State


def percent(share: float) -> str:
    """Return a share as a percentage with as few digits as it needs, such as “2 %” or “0.5 %”."""
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + " %"


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

    share: part of the candidates, such as “70 %”. p_value: 1 / evidence for the watched test. more: right
    answers in a row that would certify the region now, or None if the limit does not allow it.
    """

    size: int
    share: str
    audits: int
    errors: int
    p_value: float
    certified: bool
    more: int | None


@dataclass(frozen=True)
class AuditFacts:
    """The newest check with its regions. `answered` and `drawn` are numbers of images."""

    check: CertificateCheck
    rows: list[RegionRow]
    drawn: int
    by_machine: int
    by_people: int

    @property
    def summary(self) -> str:
        """Return how many images were shown, are wrong and have no label yet, in words."""
        return _(
            "%(answered)s of %(drawn)s drawn images were shown to reviewers. %(errors)s have another label "
            "than the prediction, and %(open)s have no label yet (leased, skipped, flagged or without "
            "agreement). Images without a label count as wrong until they are resolved."
        ) % {
            "answered": count(self.check.audits),
            "drawn": count(self.drawn),
            "errors": count(self.check.errors),
            "open": count(self.check.unresolved),
        }


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
    """Return the state of the audit by the newest check, or None before the first check."""
    check = certificate.checks.first()
    if check is None:
        return None
    numbers = Numbers(protocol_of(certificate), certificate.candidates)
    rows = []
    for place, size in enumerate(check.regions):
        audits, errors = check.region_audits[place], check.region_errors[place]
        more = None
        if certificate.test == PLANNED:
            more = max(0, min(certificate.limit, size) - audits)
        elif errors < len(numbers.left[place]):
            more = max(0, numbers.left[place][errors] - audits)
        rows.append(
            RegionRow(
                size=size,
                share=percent(round(size / certificate.candidates, 3)),
                audits=audits,
                errors=errors,
                p_value=check.p_values[place],
                certified=size <= check.certified,
                more=more,
            )
        )
    return AuditFacts(
        check=check,
        rows=rows,
        drawn=certificate.drawn.count(),
        by_machine=check.left,
        by_people=certificate.pool - check.left,
    )
