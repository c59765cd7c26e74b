"""The running audit of a certificate: who answered how many images, what is unresolved, and the evidence.

While the audit runs, evidence and errors are shown in steps of STEP answers, so that nobody can tell from
them which answer differed from the prediction (docs/decisions/0052).
"""

import math
from dataclasses import dataclass

from django.db.models import Count, F
from django.utils.translation import gettext as _

from mekiki.learning.figures import count
from mekiki.quality.chart_lines import ChartLine, Mark
from mekiki.quality.models import Certificate, CertificateCheck
from mekiki.review.models import Decision, QueueItem
from mekiki.review.selectors import active_decisions
from mekiki.review.services.certificate_audits import blind_labels

STEP = 5
MOST_CHECKS = 500  # that are read after the end of an audit
MOST_POINTS = 60  # of a line of the chart
_MOST_LINES = 3
_ANSWERS = (Decision.Kind.CONFIRM, Decision.Kind.CORRECT, Decision.Kind.SKIP, Decision.Kind.FLAG)


@dataclass(frozen=True)
class AuditProgress:
    """How far the audit is. It holds nothing about right and wrong answers.

    drawn: images that were drawn. labelled: those with a label of the reviewers. unresolved: those without
    one that were skipped or flagged, or on which the reviewers did not agree. waiting: all others. people:
    (user name, judged images).
    """

    drawn: int
    labelled: int
    waiting: int
    unresolved: int
    people: list[tuple[str, int]]


def audit_progress(certificate: Certificate) -> AuditProgress:
    """Return how far the audit of a certificate is."""
    states = dict(certificate.drawn.values_list("item_id", "item__state"))
    labelled = set(blind_labels(states))
    left_open = active_decisions(item__in=list(states), kind__in=[Decision.Kind.SKIP, Decision.Kind.FLAG])
    left = set(left_open.values_list("item_id", flat=True))
    left |= {item for item, state in states.items() if state != QueueItem.State.WAITING}
    unresolved = len(left - labelled)
    answers = active_decisions(item__in=list(states), kind__in=_ANSWERS).order_by()
    people = answers.values_list("user__username").annotate(n=Count("item", distinct=True))
    return AuditProgress(
        drawn=len(states),
        labelled=len(labelled),
        waiting=len(states) - len(labelled) - unresolved,
        unresolved=unresolved,
        people=sorted(people, key=lambda row: (-row[1], row[0])),
    )


def shown_checks(certificate: Certificate) -> list[CertificateCheck]:
    """Return the checks whose figures a page may show, by ascending number of answers.

    While the audit runs, this is the first check of each STEP of answers. After the end the newest check is
    the last one; of a long audit only some of the others are returned.
    """
    runs = certificate.state == Certificate.State.AUDITING
    step = STEP if runs else max(1, certificate.limit // MOST_CHECKS)
    numbered = certificate.checks.annotate(step=(F("audits") - F("unresolved")) / step)
    checks: list[CertificateCheck] = [*numbered.order_by("step", "pk").distinct("step")]
    newest = certificate.checks.first()
    if not runs and newest is not None and newest.pk != checks[-1].pk:
        checks.append(newest)
    return checks


def answered(check: CertificateCheck) -> int:
    """Return how many audited images had a label at a check."""
    return check.audits - check.unresolved


def evidence_lines(certificate: Certificate, checks: list[CertificateCheck]) -> list[ChartLine]:
    """Return the evidence of the regions against the answered images, as a base-10 logarithm.

    The regions are the first one and those up to the region under test, at most _MOST_LINES.
    """
    checks = [check for check in checks if check.evidence]
    if not checks:
        return []
    last = checks[-1]
    under_test = sum(size <= last.certified for size in last.regions)
    first = max(0, under_test - _MOST_LINES + 1)
    thinned = _thinned(checks)
    return [
        ChartLine(
            label=_("the %(size)s most confident images") % {"size": count(last.regions[place])},
            points=[(answered(check), _logarithm(check.evidence[place])) for check in thinned],
        )
        for place in range(first, min(under_test + 1, len(last.regions)))
    ]


def evidence_marks(certificate: Certificate, lines: list[ChartLine]) -> list[Mark]:
    """Return the marks of the axis of the evidence: 1, 10, 100, … beyond all its values."""
    most = max([needed_evidence(certificate).value, *(y for line in lines for _x, y in line.points)])
    return [Mark(power, count(10**power)) for power in range(min(6, math.floor(most) + 1) + 1)]


@dataclass(frozen=True)
class NeededEvidence(Mark):
    """The mark of the needed evidence: `value` is its logarithm."""

    number: int


def needed_evidence(certificate: Certificate) -> NeededEvidence:
    """Return the evidence at which a region is certified, 1/δ, with its words."""
    needed = 1 / (certificate.delta - certificate.delta_critical)
    number = math.ceil(round(needed, 6))
    return NeededEvidence(math.log10(needed), _("needed: %(n)s") % {"n": count(number)}, number)


def _logarithm(evidence: float) -> float:
    return evidence / math.log(10)


def _thinned(checks: list[CertificateCheck]) -> list[CertificateCheck]:
    """Return at most MOST_POINTS checks, always with the last one, one for each number of answers."""
    by_answers = {answered(check): check for check in checks}
    rows = [by_answers[n] for n in sorted(by_answers)]
    step = math.ceil(len(rows) / MOST_POINTS)
    return rows[:-1:step] + rows[-1:]
