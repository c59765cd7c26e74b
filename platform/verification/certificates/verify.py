"""The check of a certificate without the platform: order, region, completeness and bound.

It recomputes everything from the record and names the first discrepancy. That the decisions in the record are
those that were sealed is checked elsewhere (`verification.label_set`).
"""

import re
from dataclasses import dataclass, field
from hashlib import sha256

from verification.certificates.decision import OPEN, RIGHT, WRONG, Audits, Result, decide
from verification.certificates.messages import PROBLEMS
from verification.certificates.order import audit_order, order_key
from verification.certificates.record import AuditedImage, CertificateRecord, Claim, pool_digest
from verification.certificates.regions import candidate_order, is_candidate
from verification.sentences import fill

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Discrepancy:
    """The first difference between a record and what it should be: a code of PROBLEMS and its values."""

    code: str
    detail: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the sentence in English."""
        return fill(PROBLEMS[self.code], self.detail)


class _DiscrepancyError(Exception):
    def __init__(self, code: str, **detail: object) -> None:
        super().__init__(code)
        self.discrepancy = Discrepancy(code, {key: str(value) for key, value in detail.items()})


def verify_certificate(record: CertificateRecord) -> Discrepancy | None:
    """Return the first discrepancy of a certificate, or None if everything follows from the record."""
    try:
        _check_freeze(record)
        ranked, ordered = _check_order(record)
        result = _check_result(record, ranked, ordered)
        _check_labels(record, ranked, result)
    except _DiscrepancyError as error:
        return error.discrepancy
    return None


def _check_freeze(record: CertificateRecord) -> None:
    """Check seed, digests and what was recorded at the freeze."""
    if not re.fullmatch(r"[0-9a-f]{64}", record.seed):
        raise _DiscrepancyError("seed")
    if sha256(bytes.fromhex(record.seed)).hexdigest() != record.commitment:
        raise _DiscrepancyError("commitment")
    seen: set[str] = set()
    for image in record.pool:
        if not _DIGEST.match(image.digest):
            raise _DiscrepancyError("digest", image=image.digest[:64])
        if image.digest in seen:
            raise _DiscrepancyError("twice", image=image.digest)
        seen.add(image.digest)
    named = record.protocol.scope.get("label")
    for image in record.pool:
        if named is not None and not image.decided and image.predicted != named:
            raise _DiscrepancyError("scope", image=image.digest, label=image.predicted)
    for digest in [*(image.digest for image in record.audited), *record.others, *record.labels]:
        if digest not in seen:
            raise _DiscrepancyError("unknown", image=digest[:64])
    if pool_digest(record.protocol, record.critical_labels, record.pool) != record.pool_digest:
        raise _DiscrepancyError("pool")


def _check_order(record: CertificateRecord) -> tuple[list[str], list[str]]:
    """Return the digests of the candidates by rank and in audit order; check that the audits follow it."""
    critical = set(record.critical_labels)
    bound = record.protocol.critical_bound
    digests = [image.digest for image in record.pool]
    candidate = [
        not image.decided and is_candidate(image.predicted in critical, image.critical_probability, bound)
        for image in record.pool
    ]
    confidence = [image.confidence for image in record.pool]
    ranked = [digests[i] for i in candidate_order(confidence, digests, candidate)]
    key = order_key(bytes.fromhex(record.seed), record.words)
    position = {ranked[i]: t for t, i in enumerate(audit_order(key, ranked))}
    ordered = sorted(ranked, key=position.__getitem__)
    last = -1
    for number, image in enumerate(record.audited, 1):
        if image.digest not in position:
            raise _DiscrepancyError("no_candidate", image=image.digest)
        if position[image.digest] <= last:
            raise _DiscrepancyError("order", number=number, image=image.digest)
        last = position[image.digest]
    return ranked, ordered


def _check_result(record: CertificateRecord, ranked: list[str], ordered: list[str]) -> Result:
    """Recompute the result from the audited images and compare it with the claim."""
    rank = {digest: i for i, digest in enumerate(ranked)}
    predicted = {image.digest: image.predicted for image in record.pool}
    audited = {image.digest: image for image in record.audited}
    critical = set(record.critical_labels)
    for image in record.audited:
        if image.label is not None and not _follows(image):
            raise _DiscrepancyError("decision", image=image.digest, label=image.label)
    # A gap in the certified region ends the sample, so an image that was left out is named here.
    state: list[int | None] = []
    for digest in ordered:
        asked = audited.get(digest)
        if asked is None:
            state.append(None)
        elif asked.label is None:
            state.append(OPEN)
        else:
            state.append(RIGHT if asked.label == predicted[digest] else WRONG)
    others = [rank[digest] for digest in record.others if digest in rank]
    audits = Audits(
        [rank[digest] for digest in ordered],
        state,
        [d in audited and audited[d].label in critical for d in ordered] if critical else (),
        others,
    )
    by_rank = [predicted[digest] for digest in ranked]
    result = decide(record.protocol, len(ranked), audits, by_rank)
    gap = _gap(record.claim, ranked, ordered, audited)
    if gap is not None:
        raise _DiscrepancyError("left_out", image=gap)
    certified = result.certified
    if certified is None or certified.size != record.claim.size:
        size = certified.size if certified else 0
        raise _DiscrepancyError("region", stated=record.claim.size, computed=size)
    computed = Claim(certified.size, certified.left, certified.most_wrong, certified.missed_critical)
    if computed != record.claim:
        raise _DiscrepancyError(
            "bound",
            stated=f"{record.claim.most_wrong} / {record.claim.left}",
            computed=f"{computed.most_wrong} / {computed.left}",
        )
    return result


def _gap(claim: Claim, ranked: list[str], ordered: list[str], audited: dict[str, AuditedImage]) -> str | None:
    """Return the first image of the certified region that was left out before the last audited one."""
    region = set(ranked[: claim.size])
    inside = [digest for digest in ordered if digest in region]
    last = max((t for t, digest in enumerate(inside) if digest in audited), default=-1)
    return next((digest for digest in inside[: last + 1] if digest not in audited), None)


def _follows(image: AuditedImage) -> bool:
    """Return whether the label follows from the decisions."""
    if not image.decisions:
        return False
    named = sum(label == image.label for label in image.decisions)
    return image.decisions[-1] == image.label or 2 * named > len(image.decisions)


def _check_labels(record: CertificateRecord, ranked: list[str], result: Result) -> None:
    """Check that the machine set the labels of the certified region, without those that people decided."""
    assert result.certified is not None
    taken = {image.digest for image in record.audited} | set(record.others)
    expected = {digest for digest in ranked[: result.certified.size] if digest not in taken}
    stated = set(record.labels)
    if len(stated) != len(record.labels):
        raise _DiscrepancyError("labels_twice")
    for digest in sorted(stated - expected):
        raise _DiscrepancyError("outside", image=digest)
    for digest in sorted(expected - stated):
        raise _DiscrepancyError("missing_label", image=digest)
