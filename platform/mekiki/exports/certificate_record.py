"""The record of a certificate in a label set: what an offline verifier needs to repeat its test.

It is the state when an admin accepted the certificate. Later answers change labels, but not the test.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Max
from django.utils.translation import gettext as _

from mekiki.audit.models import Event
from mekiki.audit.sealed_tables import EVENTS as SEALED_EVENTS
from mekiki.audit.sealed_tables import SealedTable
from mekiki.exports.models import LabelSet
from mekiki.exports.sealed_rows import DECISIONS, EVENTS, SealIndex
from mekiki.quality.certificates import attempts_before, protocol_of
from mekiki.quality.models import Certificate, CertificateImage
from mekiki.review.models import LABELLING_KINDS, TEST_STREAMS, Decision
from mekiki.review.sealing import DECISIONS as SEALED_DECISIONS
from mekiki.review.services.certificate_audits import BlindAnswer, blind_answers
from verification.certificates.decision import OPEN, RIGHT, WRONG, Audits, LabelGroups, RegionResult, decide
from verification.certificates.record import pool_header, pool_line
from verification.label_set import format as form
from verification.label_set.archive import Writer

BATCH = 20_000
# The events of a certificate that a label set proves, in the order of the acts.
KINDS = tuple(f"certificate.{verb}" for verb in ("started", "frozen", "ended", "accepted", "labels_set"))

_DRAWN = """
SELECT i.sha256, p.image_id, p.label_id, p.rank, p.audit_position, a.item_id,
       EXISTS (SELECT FROM review_lease l WHERE l.item_id = a.item_id),
       EXISTS (SELECT FROM quality_machinelabel m
               WHERE m.image_id = p.image_id AND m.certificate_id = p.certificate_id),
       EXISTS (SELECT FROM review_decision d WHERE d.image_id = p.image_id AND d.created_at >= %(before)s
               AND d.item_id IS DISTINCT FROM a.item_id)
FROM quality_certificateaudit a
JOIN quality_certificateimage p ON p.certificate_id = a.certificate_id AND p.image_id = a.image_id
JOIN datasets_image i ON i.id = p.image_id
WHERE a.certificate_id = %(certificate)s
ORDER BY p.audit_position
"""
# Candidates that people labelled between the freeze and the acceptance, without the audited images. An image
# that still has only a part of the answers that it needs, and whose label the machine set, is none of them.
_OTHERS = """
SELECT i.sha256, p.rank FROM quality_certificateimage p JOIN datasets_image i ON i.id = p.image_id
WHERE p.certificate_id = %(certificate)s AND p.rank >= 1 AND p.image_id <> ALL(%(asked)s)
  AND EXISTS (
    SELECT FROM review_decision d WHERE d.image_id = p.image_id AND d.kind = ANY(%(kinds)s)
    AND d.created_at >= %(frozen)s AND d.created_at < %(before)s
    AND NOT EXISTS (SELECT FROM review_decision u WHERE u.supersedes_id = d.id AND u.created_at < %(before)s)
    AND NOT EXISTS (SELECT FROM review_queueitem q WHERE q.id = d.item_id AND q.stream = ANY(%(tests)s)))
  AND (EXISTS (SELECT FROM review_confirmedlabel c WHERE c.image_id = p.image_id)
    OR p.rank <= %(region)s AND NOT EXISTS (SELECT FROM quality_machinelabel m
        WHERE m.image_id = p.image_id AND m.certificate_id = p.certificate_id))
ORDER BY i.sha256 COLLATE "C"
"""
_POOL = """
SELECT i.sha256, p.label_id, p.confidence, p.critical_probability, p.rank
FROM datasets_image i JOIN quality_certificateimage p ON p.certificate_id = %s AND p.image_id = i.id
WHERE i.dataset_id = %s AND i.sha256 > %s ORDER BY i.sha256 LIMIT %s
"""
_NOT_INCLUDED = """
SELECT i.sha256 FROM quality_certificateimage p JOIN datasets_image i ON i.id = p.image_id
WHERE p.certificate_id = %(certificate)s AND p.rank BETWEEN 1 AND %(region)s AND i.sha256 <> ALL(%(taken)s)
  AND NOT EXISTS (SELECT FROM exports_labelsetentry e WHERE e.label_set_id = %(label_set)s
                  AND e.image_id = p.image_id)
ORDER BY i.sha256 COLLATE "C"
"""


def take_record(certificate: Certificate) -> dict[str, Any]:
    """Return the record of an accepted certificate, without the pool, for the snapshot of a label set.

    Raises ValidationError if the recorded answers do not support the accepted region.
    """
    events = {event.kind: event for event in _events(certificate)}
    if any(kind not in events for kind in KINDS):
        raise ValidationError(_unproven(certificate))
    before = events["certificate.accepted"].at
    drawn = _rows(_DRAWN, {"certificate": certificate.pk, "before": before})
    items = [row[5] for row in drawn]
    answers = blind_answers(items, before)
    decisions: dict[int, list[int]] = {}
    given = Decision.objects.filter(item__in=items, created_at__lt=before).order_by("pk")
    for item_id, pk in given.values_list("item_id", "pk"):
        decisions.setdefault(item_id or 0, []).append(pk)
    asked = [row for row in drawn if _was_asked(row, decisions, certificate.region)]
    labels = {row[1]: _label_of(answers.get(row[5])) for row in asked}
    others = _rows(
        _OTHERS,
        {
            "certificate": certificate.pk,
            "asked": [row[1] for row in asked],
            "kinds": [str(kind) for kind in LABELLING_KINDS],
            "tests": [str(stream) for stream in TEST_STREAMS],
            "frozen": events["certificate.frozen"].at,
            "before": before,
            "region": certificate.region,
        },
    )
    critical = {int(pk) for pk in events["certificate.frozen"].data.get("critical_labels", [])}
    region = _region(certificate, asked, labels, [rank - 1 for _sha256, rank in others], critical)
    used = [pk for row in asked for pk in decisions.get(row[5], [])]
    head = certificate.head
    assert head is not None and certificate.seed is not None  # of every accepted certificate
    return {
        "certificate": certificate.version,
        "protocol": protocol_of(certificate).as_json(),
        "overlap": certificate.overlap,
        "public_words": certificate.public_words,
        "commitment": certificate.commitment,
        "seed": bytes(certificate.seed).hex(),
        "pool_digest": certificate.pool_digest,
        "critical_labels": sorted(critical),
        "head": {"version": head.version, "digest": head.digest},
        "earlier_attempts": attempts_before(certificate),
        "claim": {
            "size": region.size,
            "left": region.left,
            "most_wrong": region.most_wrong,
            "missed_critical": region.missed_critical,
        },
        "promised": region.promised,
        "events": [events[kind].pk for kind in KINDS],
        "audited": [
            [
                row[0],
                labels[row[1]],
                [[pk, _counts(pk, answers.get(row[5]))] for pk in decisions.get(row[5], [])],
            ]
            for row in asked
        ],
        "others": [sha256 for sha256, _rank in others],
        "decision_horizon": max(used, default=None),
        "event_horizon": max(event.pk for event in events.values()),
    }


def _events(certificate: Certificate) -> Iterator[Event]:
    rows = Event.objects.filter(dataset_id=certificate.dataset_id, kind__in=KINDS)
    yield from rows.filter(object_type="certificate", object_id=str(certificate.pk)).order_by("pk")


def _unproven(certificate: Certificate) -> str:
    return _(
        "The record of certificate %(number)s is not complete, so its labels cannot be written into a "
        "label set. Nothing was written. Freeze people’s labels only, or start a new certificate."
    ) % {"number": certificate.version}


def _rows(sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def _was_asked(row: tuple[Any, ...], decisions: dict[int, list[int]], region: int) -> bool:
    """Return whether a reviewer had a drawn image on the screen before the acceptance.

    Leases are deleted after some time. But an image of the region that a reviewer had opened never got a
    label by machine, unless somebody decided it in another item.
    """
    *_, rank, _position, item, leased, by_machine, decided_elsewhere = row
    if item in decisions:
        return True
    return bool(not by_machine and not decided_elsewhere) if rank <= region else bool(leased)


def _label_of(answer: BlindAnswer | None) -> int | None:
    return answer.label_id if answer is not None else None


def _counts(decision_id: int, answer: BlindAnswer | None) -> bool:
    return answer is not None and decision_id in answer.counting


def _region(
    certificate: Certificate,
    asked: list[tuple[Any, ...]],
    labels: dict[int, int | None],
    others: list[int],
    critical: set[int],
) -> RegionResult:
    """Return the result for the accepted region. Raises ValidationError if it is not certified."""
    candidates = CertificateImage.objects.filter(certificate=certificate, rank__gte=1)
    images = {row[1] for row in asked}
    last = candidates.filter(image__in=images).aggregate(last=Max("audit_position"))["last"] or 0
    ordered = list(
        candidates.filter(audit_position__lte=last)
        .order_by("audit_position")
        .values_list("image_id", "label_id", "rank")
    )
    state: list[int | None] = []
    for image_id, predicted, _rank in ordered:
        if image_id not in images:
            state.append(None)
        elif labels[image_id] is None:
            state.append(OPEN)
        else:
            state.append(RIGHT if labels[image_id] == predicted else WRONG)
    is_critical = [labels.get(image_id) in critical for image_id, _predicted, _rank in ordered]
    audits = Audits([rank - 1 for *_, rank in ordered], state, is_critical if critical else (), others)
    groups = LabelGroups(
        certificate.label_sizes, {rank - 1: str(predicted) for _image, predicted, rank in ordered}
    )
    result = decide(protocol_of(certificate), certificate.candidates, audits, groups)
    for region in result.regions:
        if region.certified and region.size == certificate.region:
            return region
    raise ValidationError(_unproven(certificate))


def write_record(
    label_set: LabelSet, writer: Writer, seals: SealIndex, *, progress: Callable[[], None]
) -> None:
    """Write the three files of the record. `progress` is called after each part of the pool."""
    record = label_set.snapshot["certificate"]
    certificate = label_set.certificate
    assert certificate is not None
    taken = [row[0] for row in record["audited"]] + record["others"]
    values = {"certificate": certificate.pk, "region": certificate.region, "label_set": label_set.pk}
    not_included = [sha256 for (sha256,) in _rows(_NOT_INCLUDED, values | {"taken": taken})]
    book = {name: value for name, value in record.items() if not name.endswith("_horizon")}
    book |= {
        "audited": len(record["audited"]),
        "events": [_proven(seals, SEALED_EVENTS, EVENTS, pk) for pk in record["events"]],
        "not_included": not_included,
    }
    writer.add(form.CERTIFICATE, form.canonical(book))
    with writer.entry(form.AUDIT, packed=True) as audit:
        for number, (sha256, label_id, decisions) in enumerate(record["audited"], 1):
            line = {
                "number": number,
                "image_sha256": sha256,
                "label_id": label_id,
                "decisions": [
                    {**_proven(seals, SEALED_DECISIONS, DECISIONS, pk), "counts": counts}
                    for pk, counts in decisions
                ],
            }
            audit.write(form.canonical(line) + b"\n")
    with writer.entry(form.POOL, packed=True) as pool:
        critical = map(str, record["critical_labels"])
        pool.write(pool_header(protocol_of(certificate), critical))
        for rows in _pool(certificate):
            pool.write("".join([pool_line(*row) for row in rows]).encode())
            progress()
    if writer.entries[-1].sha256 != certificate.pool_digest:
        raise RuntimeError(f"The frozen pool of certificate {certificate.pk} differs from its digest.")


def _pool(certificate: Certificate) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of the frozen pool in lists, by ascending SHA-256."""
    last = ""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_POOL, [certificate.pk, certificate.dataset_id, last, BATCH])
            rows = cursor.fetchall()
        if rows:
            yield rows
        if len(rows) < BATCH:
            return
        last = rows[-1][0]


def _proven(seals: SealIndex, table: SealedTable, name: str, pk: int) -> dict[str, Any]:
    """Return a sealed row with its place under the seals."""
    [(_id, content)] = table.rows(after=pk - 1, upto=pk)
    seal, index = seals.place_of(pk, name)
    return {"seal": seal, "index": index, "record": json.loads(content)}
