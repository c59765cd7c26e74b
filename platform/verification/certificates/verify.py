"""The check of a certificate without the platform: order, region, completeness and bound.

It recomputes everything from the record and names the first discrepancy. The pool is read once, in ascending
order of the digests, and is never in memory. That the decisions in the record are those that were sealed is
checked elsewhere (`verification.label_set`).
"""

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice, pairwise

from verification.certificates.decision import OPEN, RIGHT, WRONG, Audits, LabelGroups, RegionResult, decide
from verification.certificates.messages import PROBLEMS
from verification.certificates.order import audit_keys, order_key
from verification.certificates.ranks import RankCheck
from verification.certificates.record import (
    AuditedImage,
    CertificateRecord,
    Claim,
    PoolImage,
    pool_header,
    pool_line,
)
from verification.certificates.regions import is_candidate, region_sizes
from verification.sentences import fill

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_BLOCK = 10_000  # images whose audit keys are computed at once


@dataclass(frozen=True)
class Discrepancy:
    """The first difference between a record and what it should be: a code of PROBLEMS and its values."""

    code: str
    detail: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the sentence in English."""
        return fill(PROBLEMS[self.code], self.detail)


class DiscrepancyError(Exception):
    """An error that carries the first discrepancy."""

    def __init__(self, code: str, **detail: object) -> None:
        super().__init__(code)
        self.discrepancy = Discrepancy(code, {key: str(value) for key, value in detail.items()})


def verify_certificate(record: CertificateRecord) -> Discrepancy | None:
    """Return the first discrepancy of a certificate, or None if everything follows from the record."""
    try:
        certified = check_certificate(record, sorted(record.pool, key=lambda image: image.digest))
        _check_labels(record, certified)
    except DiscrepancyError as error:
        return error.discrepancy
    return None


@dataclass(frozen=True)
class Certified:
    """The certified region of a checked certificate."""

    region: RegionResult
    taken: frozenset[str]  # digests of the candidates that people decided before the labels were accepted

    def holds(self, image: PoolImage) -> bool:
        """Return whether the certificate leaves the label of this image of the pool to the machine."""
        return 1 <= image.rank <= self.region.size and image.digest not in self.taken


def check_certificate(record: CertificateRecord, pool: Iterable[PoolImage]) -> Certified:
    """Check everything except the labels set by machine, and return the certified region.

    pool: the images by ascending digest; `record.pool` is not used. Raises DiscrepancyError for the first
    discrepancy. Memory grows with the number of audited images, not with the pool, except for 8 bytes of each
    candidate that is predicted as a label with an alpha of its own.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", record.seed):
        raise DiscrepancyError("certificate_seed")
    if sha256(bytes.fromhex(record.seed)).hexdigest() != record.commitment:
        raise DiscrepancyError("certificate_commitment")
    for image in record.audited:
        if image.label is not None and not _follows(image):
            raise DiscrepancyError("certificate_decision", image=image.digest, label=image.label)
    known = _read_pool(record, pool)
    for digest in [*(image.digest for image in record.audited), *record.others]:
        if digest not in known.named:
            raise DiscrepancyError("certificate_unknown", image=digest[:64])
    region = _check_result(record, known)
    return Certified(region, frozenset([*(image.digest for image in record.audited), *record.others]))


@dataclass
class _Known:
    """What the pool says about audited images and about the candidates before them in the audit order."""

    named: dict[str, PoolImage]  # of audited images and of `others`
    before: list[tuple[bytes, PoolImage]]  # candidates up to the last audited one, by audit key
    ranks: "dict[str, array[int]]"  # label with an alpha of its own → ranks of its candidates
    candidates: int


def _read_pool(record: CertificateRecord, pool: Iterable[PoolImage]) -> _Known:
    """Read the pool; check its hash, the candidates and their ranks."""
    key = order_key(bytes.fromhex(record.seed), record.words)
    wanted = {image.digest for image in record.audited} | set(record.others)
    asked = [image.digest for image in record.audited if _DIGEST.match(image.digest)]
    last = max(audit_keys(key, asked), default=b"")
    critical, bound = set(record.critical_labels), record.protocol.critical_bound
    in_scope = record.protocol.scope.get("label")
    known = _Known({}, [], {label: array("L") for label in record.protocol.alpha_by_label}, 0)
    hashed = sha256(pool_header(record.protocol, record.critical_labels))
    with RankCheck() as ranks:
        for images in _blocks(pool):
            hashed.update("".join([pool_line(*image) for image in images]).encode())
            for image in images:
                if in_scope is not None and image.predicted != in_scope:
                    raise DiscrepancyError("certificate_scope", image=image.digest, label=image.predicted)
                if image.digest in wanted:
                    known.named[image.digest] = image
                fits = is_candidate(image.predicted in critical, image.critical_probability, bound)
                digest = bytes.fromhex(image.digest)
                if fits != (image.rank > 0) or (fits and not ranks.put(image.rank, image.confidence, digest)):
                    raise DiscrepancyError("certificate_candidate", image=image.digest)
                if fits and image.predicted in known.ranks:
                    known.ranks[image.predicted].append(image.rank)
            candidates = [image for image in images if image.rank]
            keys = audit_keys(key, [image.digest for image in candidates])
            known.before += [(k, image) for k, image in zip(keys, candidates, strict=True) if k <= last]
        if hashed.hexdigest() != record.pool_digest:
            raise DiscrepancyError("certificate_pool")
        fault = ranks.first_fault()
        if fault is not None:
            raise DiscrepancyError("certificate_rank", rank=fault)
        known.candidates = ranks.count
    known.before.sort()
    return known


def _blocks(pool: Iterable[PoolImage]) -> Iterator[list[PoolImage]]:
    """Yield the images in lists; check that their digests are valid and ascend."""
    images = iter(pool)
    last = ""
    while block := list(islice(images, _BLOCK)):
        for image in block:
            if not _DIGEST.match(image.digest):
                raise DiscrepancyError("certificate_digest", image=image.digest[:64])
            if image.digest <= last:
                if image.digest == last:
                    raise DiscrepancyError("certificate_twice", image=image.digest)
                raise DiscrepancyError("certificate_pool")
            last = image.digest
        yield block


def _check_result(record: CertificateRecord, known: _Known) -> RegionResult:
    """Recompute the result from the audited images and compare it with the claim."""
    audited = {image.digest: image for image in record.audited}
    position = {image.digest: t for t, (_key, image) in enumerate(known.before)}
    last = -1
    for number, asked in enumerate(record.audited, 1):
        if asked.digest not in position:
            raise DiscrepancyError("certificate_no_candidate", image=asked.digest)
        if position[asked.digest] <= last:
            raise DiscrepancyError("certificate_order", number=number, image=asked.digest)
        last = position[asked.digest]
    critical = set(record.critical_labels)
    ordered = [image for _key, image in known.before]
    # A gap in the certified region ends the sample, so an image that was left out is named here.
    state = [_state(audited.get(image.digest), image) for image in ordered]
    others = [known.named[digest].rank - 1 for digest in record.others if known.named[digest].rank]
    audits = Audits(
        [image.rank - 1 for image in ordered],
        state,
        [i.digest in audited and audited[i.digest].label in critical for i in ordered] if critical else (),
        others,
    )
    try:
        result = decide(record.protocol, known.candidates, audits, _label_groups(record, known))
    except ValueError:
        raise DiscrepancyError("certificate_audits") from None
    gap = _gap(record.claim, ordered, audited)
    if gap is not None:
        raise DiscrepancyError("certificate_left_out", image=gap)
    # Answers after the end can support a larger region than the one that was certified and accepted.
    stated = next((r for r in result.regions if r.certified and r.size == record.claim.size), None)
    if stated is None:
        computed = result.certified.size if result.certified else 0
        raise DiscrepancyError("certificate_region", stated=record.claim.size, computed=computed)
    claim = Claim(stated.size, stated.left, stated.most_wrong, stated.missed_critical)
    if claim.missed_critical != record.claim.missed_critical:
        raise DiscrepancyError(
            "certificate_critical_bound", stated=record.claim.missed_critical, computed=claim.missed_critical
        )
    if claim != record.claim:
        raise DiscrepancyError(
            "certificate_bound",
            stated=f"{record.claim.most_wrong} / {record.claim.left}",
            computed=f"{claim.most_wrong} / {claim.left}",
        )
    return stated


def _label_groups(record: CertificateRecord, known: _Known) -> LabelGroups:
    sizes = region_sizes(known.candidates, record.protocol.levels)
    counts = {
        label: [sum(rank <= size for rank in ranks) for size in sizes] for label, ranks in known.ranks.items()
    }
    return LabelGroups(counts, {image.rank - 1: image.predicted for _key, image in known.before})


def _state(asked: AuditedImage | None, image: PoolImage) -> int | None:
    if asked is None:
        return None
    if asked.label is None:
        return OPEN
    return RIGHT if asked.label == image.predicted else WRONG


def _gap(claim: Claim, ordered: list[PoolImage], audited: dict[str, AuditedImage]) -> str | None:
    """Return the first image of the certified region that was left out before the last audited one."""
    inside = [image.digest for image in ordered if image.rank <= claim.size]
    last = max((t for t, digest in enumerate(inside) if digest in audited), default=-1)
    return next((digest for digest in inside[: last + 1] if digest not in audited), None)


def _follows(image: AuditedImage) -> bool:
    """Return whether the label follows from the decisions."""
    if not image.decisions:
        return False
    named = sum(label == image.label for label in image.decisions)
    return image.decisions[-1] == image.label or 2 * named > len(image.decisions)


def _check_labels(record: CertificateRecord, certified: Certified) -> None:
    """Check that the machine set the labels of the certified region, without those that people decided."""
    expected = {image.digest for image in record.pool if certified.holds(image)}
    if any(a == b for a, b in pairwise(sorted(record.labels))):
        raise DiscrepancyError("certificate_labels_twice")
    for digest in sorted(set(record.labels) - expected):
        raise DiscrepancyError("certificate_outside", image=digest)
    for digest in sorted(expected - set(record.labels)):
        raise DiscrepancyError("certificate_missing_label", image=digest)
