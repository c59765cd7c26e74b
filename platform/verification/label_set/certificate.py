"""The check of the certificate in a label set: its sealed events and decisions, its test, and its labels.

The pool is read twice as a stream: for the test, and then beside the rows of labels.jsonl, which have the
same order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from verification import merkle
from verification.canonical import canonical
from verification.certificates.answers import Answer, settled_label
from verification.certificates.protocol import Protocol
from verification.certificates.record import (
    AuditedImage,
    CertificateRecord,
    Claim,
    PoolImage,
    pool_header,
    read_pool_line,
)
from verification.certificates.regions import allowed_errors
from verification.certificates.verify import Certified, DiscrepancyError, check_certificate
from verification.label_set import format as form

MOST_AUDITED = 1_000_000
LABELLING = (*form.ANSWERS, form.RULING)
KINDS = tuple(f"certificate.{verb}" for verb in ("started", "frozen", "ended", "accepted", "labels_set"))

Lines = Callable[[], Iterator[bytes]]
Bad = Callable[..., None]


@dataclass(frozen=True)
class Place:
    """A sealed row that the record names: its table, seal, index under the seal, and leaf hash."""

    table: str
    seal: int
    index: int
    leaf: bytes
    row: int  # its id


@dataclass
class CertificateCheck:
    """The check of the record. Each problem is passed to `bad`.

    places: the sealed rows, whose leaves must lead to their seals. summary: the statement, for the report.
    """

    bad: Bad
    pool: Lines  # opens certificate_pool.csv
    places: list[Place] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)

    def take(self, book: dict[str, Any], audit: Iterable[bytes]) -> None:
        """Check events, decisions and test. Raises ValueError, KeyError or TypeError for another form."""
        self.number = int(book["certificate"])
        self.head = book["head"]
        self.not_included = set(book["not_included"])
        self.events = self._events(book)
        record = CertificateRecord(
            protocol=Protocol.from_json(book["protocol"]),
            commitment=str(book["commitment"]),
            pool_digest=str(book["pool_digest"]),
            seed=str(book["seed"]),
            words=str(book["public_words"]),
            critical_labels=tuple(map(str, book["critical_labels"])),
            audited=self._audited(audit, int(book["overlap"])),
            others=[str(digest) for digest in book["others"]],
            claim=Claim(**book["claim"]),
            earlier_attempts=int(book["earlier_attempts"]),
        )
        if len(record.audited) != book["audited"]:
            raise ValueError
        self.others = set(record.others)
        self.certified: Certified | None = None
        try:
            self.certified = check_certificate(record, self._images(record))
        except DiscrepancyError as error:
            self.bad(error.discrepancy.code, **error.discrepancy.detail)
        promised = allowed_errors(record.claim.left, record.protocol.alpha)
        if book["promised"] != promised:
            self.bad("certificate_bound", stated=book["promised"], computed=promised)
        self.summary = {
            "number": self.number,
            "alpha": record.protocol.alpha,
            "delta": record.protocol.delta,
            "left": record.claim.left,
            "promised": promised,
            "audited": len(record.audited),
            "earlier_attempts": record.earlier_attempts,
        }

    def _events(self, book: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the sealed events by kind; check that they say what certificate.json says."""
        rows = [self._place("events", event) for event in book["events"]]
        same = {(row["dataset_id"], row["object_type"], row["object_id"]) for row in rows}
        numbers = [row["id"] for row in rows]
        if tuple(row["kind"] for row in rows) != KINDS or len(same) != 1 or numbers != sorted(set(numbers)):
            self.bad("certificate_events")
            raise ValueError
        events = {row["kind"]: row for row in rows}
        head = book["head"]
        expected: dict[str, dict[str, Any]] = {
            "certificate.started": {
                **book["protocol"],
                "overlap": book["overlap"],
                "public_words": book["public_words"],
            },
            "certificate.frozen": {
                "commitment": book["commitment"],
                "pool_digest": book["pool_digest"],
                "critical_labels": book["critical_labels"],
                "head": head["version"],
                "head_digest": head["digest"],
            },
            "certificate.ended": {"seed": book["seed"], "certified": book["claim"]["size"]},
            "certificate.accepted": {"images": book["claim"]["size"]},
            "certificate.labels_set": {},
        }
        for kind, values in expected.items():
            data = events[kind]["data"]
            for name, value in {"version": self.number, **values}.items():
                if data.get(name) != value:
                    self.bad("certificate_event", kind=kind, what=name)
        return events

    def _place(self, table: str, proven: dict[str, Any]) -> dict[str, Any]:
        """Note the place of a sealed row, and return its record."""
        record = proven["record"]
        seal, index, number = proven["seal"], proven["index"], record["id"]
        if any(type(value) is not int for value in (seal, index, number)):
            raise TypeError
        self.places.append(Place(table, seal, index, merkle.leaf_hash(canonical(record)), number))
        return dict(record)

    def _audited(self, lines: Iterable[bytes], overlap: int) -> list[AuditedImage]:
        """Return the audited images; check that their labels follow from their sealed decisions."""
        audited = []
        for number, text in enumerate(lines, 1):
            line = json.loads(text)
            if line["number"] != number or form.canonical(line) + b"\n" != text or number > MOST_AUDITED:
                raise ValueError
            digest, label = str(line["image_sha256"]), line["label_id"]
            answers = self._answers(digest, line["decisions"])
            settled = settled_label(answers, overlap)
            if label != settled:
                self.bad("certificate_decision", image=digest[:64], label=label)
            name = None if label is None else str(label)
            audited.append(AuditedImage(digest, name, () if name is None else (name,)))
        return audited

    def _answers(self, digest: str, decisions: list[dict[str, Any]]) -> list[Answer]:
        """Return the answers that count, in their order."""
        records = [self._place("decisions", decision) for decision in decisions]
        frozen, accepted = self.events["certificate.frozen"], self.events["certificate.accepted"]
        undone = {record["supersedes_id"] for record in records}
        answers: list[Answer] = []
        last = 0
        for record, counts in zip(records, [decision["counts"] for decision in decisions], strict=True):
            fits = (
                record["image_sha256"] == digest
                and record["dataset_id"] == frozen["dataset_id"]
                and record["item_id"] == records[0]["item_id"]
                and frozen["at"] <= record["created_at"] < accepted["at"]
                and record["id"] > last
                and (record["kind"] not in form.ANSWERS or record["shown"].get("blind") is True)
            )
            last = record["id"]
            if not fits:
                self.bad("certificate_answer", id=record["id"], image=digest[:64])
            labelling = record["kind"] in LABELLING
            if counts is not labelling and not (labelling and record["id"] in undone):
                self.bad("certificate_uncounted", id=record["id"], image=digest[:64])
            if counts:
                answers.append(
                    Answer(
                        record["id"],
                        record["user_id"],
                        record["label_id"],
                        record["late"],
                        record["kind"] == form.RULING,
                    )
                )
        return answers

    def _images(self, record: CertificateRecord | None = None) -> Iterator[PoolImage]:
        """Yield the images of the pool. With a record, check the lines before the first image."""
        lines = self.pool()
        header = next(lines, b"") + next(lines, b"")
        if record is not None and header != pool_header(record.protocol, record.critical_labels):
            raise DiscrepancyError("certificate_pool")
        for line in lines:
            try:
                yield read_pool_line(line)
            except ValueError:
                raise DiscrepancyError(
                    "certificate_digest", image=line[:64].decode("ascii", "replace")
                ) from None

    def follow(self) -> RowFollower | None:
        """Return the check of the rows, or None if the certificate itself is not valid."""
        return RowFollower(self, self._images()) if self.certified is not None else None


class RowFollower:
    """The check of the rows of labels.jsonl, in their order, beside the pool."""

    def __init__(self, check: CertificateCheck, pool: Iterator[PoolImage]) -> None:
        assert check.certified is not None
        self._check, self._certified = check, check.certified
        self._pool = pool
        self._image = next(pool, None)
        self._from = check.events["certificate.frozen"]["at"]
        self._until = check.events["certificate.accepted"]["at"]

    def row(self, row: dict[str, Any], number: int) -> None:
        """Check one row, and the images of the pool before it, which have no row."""
        digest = row["image_sha256"]
        self._skip(digest)
        image = self._image if self._image is not None and self._image.digest == digest else None
        if image is not None:
            self._image = next(self._pool, None)
        left = image is not None and self._certified.holds(image)
        if digest in self._check.not_included:
            self._check.bad("certificate_listed", image=digest)
        if row["source"] == form.CERTIFIED:
            if image is None or not left:
                self._check.bad("certificate_outside", image=digest)
            elif not self._is_frozen(row, image):
                self._check.bad("certificate_label", row=number, image=digest)
        elif (
            image is not None
            and image.rank
            and digest not in self._certified.taken
            and self._from <= row["decided_at"] < self._until
        ):
            self._check.bad("certificate_uncounted_label", row=number, image=digest)

    def end(self) -> None:
        """Check the images after the last row."""
        self._skip(None)

    def _skip(self, upto: str | None) -> None:
        """Check that the images without a row are not left to the machine, or are listed as not included."""
        while self._image is not None and (upto is None or self._image.digest < upto):
            if self._certified.holds(self._image) and self._image.digest not in self._check.not_included:
                self._check.bad("certificate_missing_label", image=self._image.digest)
            self._image = next(self._pool, None)

    def _is_frozen(self, row: dict[str, Any], image: PoolImage) -> bool:
        """Return whether the row has the frozen prediction, by the frozen head, under this certificate."""
        return bool(
            str(row["label_id"]) == image.predicted
            and row["confidence"] == image.confidence
            and row["head"] == self._check.head
            and row["certificate"] == self._check.number
        )
