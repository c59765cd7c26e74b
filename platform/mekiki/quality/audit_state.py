"""The audit of a certificate as it stands: the drawn images, their answers, and the result of the test."""

import math
from dataclasses import dataclass

from django.db.models import Exists, Max, OuterRef

from mekiki.labeling.models import Label
from mekiki.quality.certificates import protocol_of
from mekiki.quality.models import Certificate, CertificateAudit, CertificateImage
from mekiki.review.models import ConfirmedLabel, Decision, Lease
from mekiki.review.services.certificate_audits import blind_labels
from verification.certificates.decision import (
    OPEN,
    RIGHT,
    WRONG,
    Audits,
    LabelGroups,
    RegionResult,
    Result,
    TestResult,
    decide,
    decide_whole_pool,
)
from verification.certificates.protocol import PLANNED, Protocol
from verification.certificates.regions import allowed_errors
from verification.certificates.spending import Numbers, target_size
from verification.certificates.tails import p_value
from verification.certificates.watched import last_counts, log_evidence

MOST_EVIDENCE = 700.0  # exp() of a larger number is infinite


@dataclass(frozen=True)
class AuditState:
    """The state of a certificate's audit.

    drawn: how many images were drawn. waiting: how many of them no reviewer has opened yet.
    """

    protocol: Protocol
    candidates: int
    pool: int
    audits: Audits
    result: Result
    drawn: int
    waiting: int

    @property
    def target(self) -> int:
        """The size of the region to audit now; 0 if further audits are not worth their price."""
        return target_size(Numbers(self.protocol, self.candidates), self.result)

    @property
    def is_complete(self) -> bool:
        """Whether the audit can end: the result cannot change, or further audits are not worth their price.

        Skipped and flagged images count as errors, so a test that failed because of them waits for their
        answers.
        """
        unresolved = self.waiting or OPEN in self.audits.state
        if self.protocol.test == PLANNED:
            return not unresolved and self.drawn >= min(self.protocol.limit, self._largest)
        return self.target == 0 and (self.result.certified is not None or not unresolved)

    @property
    def _largest(self) -> int:
        return self.result.regions[-1].size if self.result.regions else 0

    @property
    def figures(self) -> dict[str, int | list[int] | list[float]]:
        """The columns of CertificateCheck."""
        steps = [region.step for region in self.result.regions]
        certified = self.result.certified
        whole = decide_whole_pool(self.protocol, self.candidates, self.pool, self.audits)
        return {
            "audits": sum(state is not None for state in self.audits.state),
            "errors": self.audits.state.count(WRONG),
            "unresolved": self.audits.state.count(OPEN),
            "regions": [step.size for step in steps],
            "region_audits": [step.audited for step in steps],
            "region_errors": [step.wrong for step in steps],
            "p_values": [_as_p_value(self.protocol, step) for step in steps],
            "region_open": [step.open for step in steps],
            "evidence": [
                _evidence_for_labels_left(self.protocol, region, self.audits)
                for region in self.result.regions
            ],
            "certified": certified.size if certified is not None else 0,
            "left": certified.left if certified is not None else 0,
            "promised": certified.promised if certified is not None else 0,
            "missed_critical": certified.missed_critical if certified is not None else 0,
            "whole_pool": whole.certified.size if whole.certified is not None else 0,
        }


def _as_p_value(protocol: Protocol, step: TestResult) -> float:
    """Return the p-value. For the watched test it is 1 / e-value, which is a p-value at any time."""
    return step.statistic if protocol.test == PLANNED else min(1.0, math.exp(-step.statistic))


def _evidence_for_labels_left(protocol: Protocol, region: RegionResult, audits: Audits) -> float:
    """Return the evidence against “more than α of the labels left are wrong”, as a logarithm from 0.

    It reaches log(1/δ) when `decide` finds at most α of them wrong. The largest value so far of the watched
    test; −log of the p-value of the planned test. At most MOST_EVIDENCE, because a report holds no infinity.
    """
    size = region.step.size
    members = [rank < size for rank in audits.rank]
    settled = sum(m and state == WRONG for m, state in zip(members, audits.state, strict=True))
    allowed = region.promised + settled
    errors = [state != RIGHT for state, _critical in audits.of(members)]
    if protocol.test == PLANNED:
        p = p_value(size, len(errors), sum(errors), allowed)
        evidence = -math.log(p) if p > 0 else MOST_EVIDENCE
    else:
        reference = allowed_errors(size, protocol.alpha) + 1
        evidence = max(log_evidence(size, n, k, allowed, reference) for n, k in last_counts(errors))
    return min(MOST_EVIDENCE, max(0.0, evidence))


def read_audit_state(certificate: Certificate) -> AuditState:
    """Return the state of the audit of a certificate that is frozen. Nothing is stored."""
    protocol = protocol_of(certificate)
    drawn = dict(CertificateAudit.objects.filter(certificate=certificate).values_list("image_id", "item_id"))
    opened = _opened_items(list(drawn.values()))
    audits, predicted = _audits(certificate, drawn, opened)
    groups = LabelGroups(certificate.label_sizes, predicted)
    return AuditState(
        protocol=protocol,
        candidates=certificate.candidates,
        pool=certificate.pool,
        audits=audits,
        result=decide(protocol, certificate.candidates, audits, groups),
        drawn=len(drawn),
        waiting=len(drawn) - len(opened),
    )


def _opened_items(items: list[int]) -> set[int]:
    """Return the items that a reviewer ever had on the screen."""
    decided = Decision.objects.filter(item__in=items).values_list("item", flat=True)
    leased = Lease.objects.filter(item__in=items).values_list("item", flat=True)
    return {item for item in {*decided, *leased} if item is not None}


def _audits(
    certificate: Certificate, drawn: dict[int, int], opened: set[int]
) -> tuple[Audits, dict[int, str]]:
    """Return the candidates in audit order up to the last drawn one, and rank → predicted label of these.

    drawn: image id → item id.
    """
    labels = blind_labels(drawn.values())
    critical = set(
        Label.objects.filter(dataset=certificate.dataset_id, critical=True).values_list("pk", flat=True)
    )
    candidates = CertificateImage.objects.filter(certificate=certificate, rank__gte=1)
    last = candidates.filter(image__in=list(drawn)).aggregate(last=Max("audit_position"))["last"] or 0
    rank: list[int] = []
    state: list[int | None] = []
    is_critical: list[bool] = []
    predicted: dict[int, str] = {}
    rows = candidates.filter(audit_position__lte=last).order_by("audit_position")
    for image_id, label_id, place in rows.values_list("image_id", "label_id", "rank"):
        item = drawn.get(image_id)
        given = labels.get(item) if item is not None else None
        rank.append(place - 1)
        predicted[place - 1] = str(label_id)
        is_critical.append(given in critical)
        if given is not None:
            state.append(RIGHT if given == label_id else WRONG)
        else:
            state.append(OPEN if item in opened else None)
    asked = [image_id for image_id, item in drawn.items() if item in opened]
    others = _labelled_otherwise(certificate, asked)
    return Audits(rank, state, is_critical if critical else (), others), predicted


def _labelled_otherwise(certificate: Certificate, asked: list[int]) -> list[int]:
    """Return the ranks of candidates that people labelled since the freeze, except the asked images."""
    labelled = ConfirmedLabel.objects.filter(image=OuterRef("image_id"))
    candidates = CertificateImage.objects.filter(Exists(labelled), certificate=certificate, rank__gte=1)
    ranks = candidates.exclude(image__in=asked).values_list("rank", flat=True)
    return [rank - 1 for rank in ranks]
