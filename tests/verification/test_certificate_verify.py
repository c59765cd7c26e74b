"""The offline check of a certificate: an honest record passes, and each kind of tampering is named."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from verification.certificates.decision import OPEN, RIGHT, WRONG, Audits, decide
from verification.certificates.order import audit_order, commitment, order_key
from verification.certificates.protocol import PLANNED, WATCHED, Protocol
from verification.certificates.record import (
    AuditedImage,
    CertificateRecord,
    Claim,
    PoolImage,
    pool_digest,
)
from verification.certificates.regions import candidate_order, is_candidate
from verification.certificates.spending import Numbers, next_audits
from verification.certificates.verify import verify_certificate

IMAGES, WORDS = 700, "lottery 2026-11-30: 4 17 22"
LABELS = ("good", "scratch", "dent")


def ranked_pool(pool: list[PoolImage], bound: float, critical: tuple[str, ...]) -> list[PoolImage]:
    """Return the pool by ascending digest, with the ranks of its candidates."""
    pool = sorted(pool, key=lambda image: image.digest)
    order = candidate_order(
        [image.confidence for image in pool],
        [image.digest for image in pool],
        [is_candidate(i.predicted in critical, i.critical_probability, bound) for i in pool],
    )
    rank = {at: place for place, at in enumerate(order, 1)}
    return [image._replace(rank=rank.get(at, 0)) for at, image in enumerate(pool)]


def make_record(test: str = WATCHED, seed: int = 1) -> CertificateRecord:
    """Return the record of a certificate that was granted, with two wrong answers and one that is open."""
    source = random.Random(seed)
    critical = ("crack",)
    pool = ranked_pool(
        [
            PoolImage(
                sha256(str(i).encode()).hexdigest(),
                source.choice(LABELS),
                round(source.random(), 2),  # ties
                source.random() * 0.1,
            )
            for i in range(IMAGES)
        ],
        0.09,
        critical,
    )
    protocol = Protocol(0.1, 0.05, 150, (0.8, 0.9, 0.95), test, critical_bound=0.09, delta_critical=0.01)
    secret = source.randbytes(32)
    ranked = sorted((image for image in pool if image.rank), key=lambda image: image.rank)
    order = audit_order(order_key(secret, WORDS), [image.digest for image in ranked])
    numbers = Numbers(protocol, len(ranked))
    state: list[int | None] = [None] * len(order)
    flags = [False] * len(order)
    asked = 0
    while True:
        audits = Audits(order, state, flags)
        result = decide(protocol, len(ranked), audits)
        chosen = next_audits(numbers, result, audits, 1)
        if not chosen:
            break
        asked += 1
        state[chosen[0]] = WRONG if asked in (20, 33) else OPEN if asked == 27 else RIGHT
    region = result.certified
    assert region is not None
    audited = []
    for t, rank in enumerate(order):
        if state[t] is None:
            continue
        image = ranked[rank]
        wrong = next(label for label in LABELS if label != image.predicted)
        label = {RIGHT: image.predicted, WRONG: wrong, OPEN: None}[state[t] or 0]
        audited.append(AuditedImage(image.digest, label, () if label is None else (label,)))
    taken = {image.digest for image in audited}
    return CertificateRecord(
        protocol=protocol,
        commitment=commitment(secret).hex(),
        pool_digest=pool_digest(protocol, critical, pool),
        seed=secret.hex(),
        words=WORDS,
        critical_labels=critical,
        audited=audited,
        others=[],
        claim=Claim(region.size, region.left, region.most_wrong, region.missed_critical),
        pool=pool,
        labels=[image.digest for image in ranked[: region.size] if image.digest not in taken],
    )


@pytest.fixture(scope="module", params=[WATCHED, PLANNED])
def record(request: pytest.FixtureRequest) -> CertificateRecord:
    return make_record(request.param)


def code(record: CertificateRecord) -> str | None:
    found = verify_certificate(record)
    assert found is None or str(found).endswith(".")
    return found.code.removeprefix("certificate_") if found else None


def test_an_honest_record_passes(record: CertificateRecord) -> None:
    assert code(record) is None
    assert record.claim.most_wrong <= 0.1 * record.claim.left
    again = CertificateRecord.from_json(json.loads(json.dumps(record.as_json())))
    assert code(again) is None


def with_audit(record: CertificateRecord, at: int, audit: AuditedImage) -> CertificateRecord:
    audited = list(record.audited)
    audited[at] = audit
    return replace(record, audited=audited)


def shuffled(record: CertificateRecord) -> CertificateRecord:
    audited = list(record.audited)
    audited[3], audited[9] = audited[9], audited[3]
    return replace(record, audited=audited)


def wrong_at(record: CertificateRecord) -> int:
    predicted = {image.digest: image.predicted for image in record.pool}
    return next(i for i, a in enumerate(record.audited) if a.label and a.label != predicted[a.digest])


def answered_right(record: CertificateRecord, decisions: bool) -> CertificateRecord:
    at = wrong_at(record)
    audit = record.audited[at]
    label = next(image.predicted for image in record.pool if image.digest == audit.digest)
    return with_audit(
        record, at, AuditedImage(audit.digest, label, (label,) if decisions else audit.decisions)
    )


def moved_in(record: CertificateRecord, *, ranked: bool = False) -> CertificateRecord:
    """Give the least confident candidate the highest confidence."""
    last = max(record.pool, key=lambda image: image.rank)
    pool = [image._replace(confidence=1.0) if image == last else image for image in record.pool]
    return replace(record, pool=ranked_pool(pool, 0.09, record.critical_labels) if ranked else pool)


def with_new_digest(record: CertificateRecord) -> CertificateRecord:
    frozen = pool_digest(record.protocol, record.critical_labels, record.pool)
    return replace(record, pool_digest=frozen)


def with_image(record: CertificateRecord, at: int, **values: Any) -> CertificateRecord:
    pool = list(record.pool)
    pool[at] = pool[at]._replace(**values)
    return replace(record, pool=pool)


def relabelled(record: CertificateRecord) -> CertificateRecord:
    outside = next(i.digest for i in record.pool if i.rank == 0)
    return replace(record, labels=[*record.labels, outside])


TAMPERINGS: dict[str, tuple[Callable[[CertificateRecord], CertificateRecord], set[str]]] = {
    "another seed": (lambda r: replace(r, seed="ab" * 32), {"commitment"}),
    "another seed and commitment": (
        lambda r: replace(r, seed="ab" * 32, commitment=sha256(bytes.fromhex("ab" * 32)).hexdigest()),
        {"order"},
    ),
    "other words": (lambda r: replace(r, words="4 17 23"), {"order"}),
    "no seed": (lambda r: replace(r, seed="ab"), {"seed"}),
    "an audited image left out": (
        lambda r: replace(r, audited=[*r.audited[:40], *r.audited[41:]]),
        {"left_out", "region", "bound"},
    ),
    "a wrong answer left out": (
        lambda r: replace(r, audited=[a for i, a in enumerate(r.audited) if i != wrong_at(r)]),
        {"left_out"},
    ),
    "an answer changed": (lambda r: answered_right(r, decisions=False), {"decision"}),
    "answer and decision changed": (lambda r: answered_right(r, decisions=True), {"bound", "region"}),
    "an image moved into the region": (moved_in, {"pool"}),
    "an image moved in, with a new digest": (
        lambda r: with_new_digest(moved_in(r, ranked=True)),
        {"left_out", "region", "bound", "missing_label", "outside"},
    ),
    "a rank that does not follow": (lambda r: with_new_digest(moved_in(r)), {"rank"}),
    "a candidate left out": (lambda r: with_image(r, 0, rank=0), {"candidate"}),
    "a rank twice": (lambda r: with_new_digest(with_image(r, 1, rank=r.pool[0].rank)), {"rank", "candidate"}),
    "another predicted label": (lambda r: with_image(r, 0, predicted="bent"), {"pool"}),
    "fewer critical images": (
        lambda r: replace(r, claim=replace(r.claim, missed_critical=r.claim.missed_critical - 1)),
        {"critical_bound"},
    ),
    "an audited image among the others": (lambda r: replace(r, others=[r.audited[0].digest]), {"audits"}),
    "the order shuffled": (shuffled, {"order"}),
    "a softer alpha": (lambda r: replace(r, protocol=replace(r.protocol, alpha=0.11)), {"pool"}),
    "a larger region": (
        lambda r: replace(r, claim=replace(r.claim, size=r.claim.size + 1)),
        {"region", "left_out"},
    ),
    "a smaller bound": (
        lambda r: replace(r, claim=replace(r.claim, most_wrong=r.claim.most_wrong - 1)),
        {"bound"},
    ),
    "a label outside the region": (relabelled, {"outside"}),
    "a label missing": (lambda r: replace(r, labels=r.labels[1:]), {"missing_label"}),
    "a label twice": (lambda r: replace(r, labels=[*r.labels, r.labels[0]]), {"labels_twice"}),
    "an image twice in the pool": (lambda r: replace(r, pool=[*r.pool, r.pool[0]]), {"twice"}),
    "a strange audit": (
        lambda r: replace(r, audited=[AuditedImage("0" * 64, "good", ("good",)), *r.audited]),
        {"unknown"},
    ),
    "a broken digest": (
        lambda r: replace(r, pool=[r.pool[0]._replace(digest="\x1b[31m"), *r.pool[1:]]),
        {"digest"},
    ),
    "hidden decisions": (
        lambda r: replace(r, others=[i.digest for i in r.pool[:100]], audited=r.audited[:60]),
        {"region", "left_out", "bound", "audits"},
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_named(record: CertificateRecord, name: str) -> None:
    tamper, expected = TAMPERINGS[name]
    assert code(tamper(record)) in expected


def test_the_image_that_was_left_out_is_named() -> None:
    record = make_record()
    at = wrong_at(record)
    found = verify_certificate(replace(record, audited=[a for i, a in enumerate(record.audited) if i != at]))
    assert found is not None and found.detail["image"] == record.audited[at].digest


def test_labels_follow_from_decisions_by_majority_or_adjudication() -> None:
    record = make_record()
    image = record.audited[0]
    label = image.label or ""
    for decisions, passes in (
        ((label, label, "other"), True),
        (("other", "dent", label), True),  # an adjudication
        (("other", label, "other"), False),
        ((), False),
    ):
        changed = with_audit(record, 0, replace(image, decisions=decisions))
        assert (code(changed) is None) == passes


def test_image_outside_the_scope_is_named() -> None:
    record = make_record()
    protocol = replace(record.protocol, scope={"label": "good", "metadata": "line=3"})
    digest = pool_digest(protocol, record.critical_labels, record.pool)
    found = verify_certificate(replace(record, protocol=protocol, pool_digest=digest))
    assert found is not None and found.code == "certificate_scope" and found.detail["label"] != "good"


def test_changed_scope_does_not_fit_the_frozen_protocol() -> None:
    record = make_record()
    changed = replace(record, protocol=replace(record.protocol, scope={"metadata": "line=3"}))
    found = verify_certificate(changed)
    assert found is not None and found.code == "certificate_pool"
    again = CertificateRecord.from_json(json.loads(json.dumps(changed.as_json())))
    assert again.protocol.scope == {"metadata": "line=3"}


def test_protocol_without_a_scope_keeps_its_json_form() -> None:
    """Otherwise the digests of earlier certificates would not fit any more."""
    assert "scope" not in make_record().protocol.as_json()


@pytest.mark.parametrize(
    "scope", [{"line": "3"}, {"metadata": "line"}, {"metadata": "=3"}, {"label": ""}, {"label": 3}]
)
def test_scope_that_says_nothing_is_refused(scope: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        Protocol(0.1, 0.05, 150, scope=scope)
