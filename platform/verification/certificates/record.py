"""What a label set holds about a certificate, as JSON values, and the digests that tie it to the freeze."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from verification.canonical import canonical
from verification.certificates.protocol import Protocol


@dataclass(frozen=True)
class PoolImage:
    """An image of the scope at the freeze.

    digest: hexadecimal SHA-256. predicted: the label that the head predicts. decided: it had a label by
    people at the freeze, so it is no candidate.
    """

    digest: str
    predicted: str
    confidence: float
    critical_probability: float = 0.0
    decided: bool = False


@dataclass(frozen=True)
class AuditedImage:
    """An image that reviewers were asked about after the freeze, in audit order.

    label: the settled label, or None while it is open. decisions: the labels of the decisions that count, in
    the order in which they were made; a settled label is the last of them (an adjudication) or named by more
    than half.
    """

    digest: str
    label: str | None
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """What the certificate states: size of the region, labels set by machine, and the bound on wrong ones."""

    size: int
    left: int
    most_wrong: int
    missed_critical: int


@dataclass(frozen=True)
class CertificateRecord:
    """Everything that an offline verifier needs. Lists have no required order, except `audited`.

    pool_digest: of `pool_digest`, recorded with the commitment at the freeze. others: digests of candidates
    that people decided outside the audit before the labels were accepted. labels: digests of the images whose
    label the machine set. earlier_attempts: certificates of the same head and pool before this one.
    """

    protocol: Protocol
    commitment: str
    pool_digest: str
    seed: str
    words: str
    critical_labels: tuple[str, ...]
    pool: Sequence[PoolImage]
    audited: Sequence[AuditedImage]
    others: Sequence[str]
    labels: Sequence[str]
    claim: Claim
    earlier_attempts: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {**asdict(self), "protocol": self.protocol.as_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "CertificateRecord":
        """Return the record from its JSON form. KeyError, TypeError, ValueError: not such a form."""
        return cls(
            **{
                **value,
                "protocol": Protocol.from_json(value["protocol"]),
                "critical_labels": tuple(value["critical_labels"]),
                "pool": [PoolImage(**row) for row in value["pool"]],
                "audited": [
                    AuditedImage(row["digest"], row["label"], tuple(row["decisions"]))
                    for row in value["audited"]
                ],
                "claim": Claim(**value["claim"]),
            }
        )


def pool_digest(protocol: Protocol, critical_labels: Sequence[str], pool: Sequence[PoolImage]) -> str:
    """Return the hexadecimal SHA-256 of protocol, critical labels and pool, to record at the freeze.

    One canonical JSON text (RFC 8785) for the protocol and one for each image by ascending digest, each
    followed by a line feed. Confidences enter as the decimal text of `repr`.
    """
    hashed = sha256()
    for line in _lines(protocol, critical_labels, pool):
        hashed.update(line + b"\n")
    return hashed.hexdigest()


def _lines(protocol: Protocol, critical_labels: Sequence[str], pool: Sequence[PoolImage]) -> Iterator[bytes]:
    yield canonical({"protocol": protocol.as_json(), "critical_labels": sorted(critical_labels)})
    for image in sorted(pool, key=lambda image: image.digest):
        yield canonical(
            [
                image.digest,
                image.predicted,
                repr(float(image.confidence)),
                repr(float(image.critical_probability)),
                image.decided,
            ]
        )
