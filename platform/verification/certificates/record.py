"""What a label set holds about a certificate, and the form of the frozen pool, whose hash is recorded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, NamedTuple

from verification.canonical import canonical
from verification.certificates.protocol import Protocol

POOL_COLUMNS = ("image_sha256", "label_id", "confidence", "critical_probability", "rank")


class PoolImage(NamedTuple):
    """An image of the pool, as it was frozen.

    digest: hexadecimal SHA-256. predicted: the label that the head predicts; in a label set its id as text.
    critical_probability: of all critical labels together. rank: 1, 2, 3 … from the most confident candidate;
    0 if the image is no candidate.
    """

    digest: str
    predicted: str
    confidence: float
    critical_probability: float = 0.0
    rank: int = 0


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
    """Everything that an offline verifier needs. `pool` ascends by digest, `audited` is in audit order.

    pool_digest: of `pool_digest`, recorded with the commitment at the freeze. others: digests of candidates
    that people decided outside the audit before the labels were accepted. labels: digests of the images whose
    label the machine set. earlier_attempts: certificates of the dataset that were started before this one.
    A verifier that reads pool and labels from a stream leaves both empty here.
    """

    protocol: Protocol
    commitment: str
    pool_digest: str
    seed: str
    words: str
    critical_labels: tuple[str, ...]
    audited: Sequence[AuditedImage]
    others: Sequence[str]
    claim: Claim
    pool: Sequence[PoolImage] = ()
    labels: Sequence[str] = ()
    earlier_attempts: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        whole = asdict(replace(self, pool=(), labels=()))
        return {
            **whole,
            "protocol": self.protocol.as_json(),
            "pool": [list(image) for image in self.pool],
            "labels": list(self.labels),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "CertificateRecord":
        """Return the record from its JSON form. KeyError, TypeError, ValueError: not such a form."""
        return cls(
            **{
                **value,
                "protocol": Protocol.from_json(value["protocol"]),
                "critical_labels": tuple(value["critical_labels"]),
                "pool": [PoolImage(*row) for row in value["pool"]],
                "audited": [
                    AuditedImage(row["digest"], row["label"], tuple(row["decisions"]))
                    for row in value["audited"]
                ],
                "claim": Claim(**value["claim"]),
            }
        )


def pool_header(protocol: Protocol, critical_labels: Iterable[str]) -> bytes:
    """Return the first two lines of the pool's text: protocol and critical labels, and the columns.

    The first line is `# ` and canonical JSON (RFC 8785).
    """
    frozen = {"protocol": protocol.as_json(), "critical_labels": sorted(critical_labels)}
    return b"# " + canonical(frozen) + b"\n" + ",".join(POOL_COLUMNS).encode() + b"\n"


def pool_line(digest: str, label: object, confidence: float, critical_probability: float, rank: int) -> str:
    """Return the line of an image. Numbers are the shortest decimal text that gives the same float64."""
    return f"{digest},{label},{confidence!r},{critical_probability!r},{rank}\n"


def read_pool_line(line: bytes) -> PoolImage:
    """Return the image of a line. ValueError: it is no line of a pool."""
    digest, predicted, confidence, critical_probability, rank = line.decode("ascii").rstrip("\n").split(",")
    return PoolImage(digest, predicted, float(confidence), float(critical_probability), int(rank))


def pool_lines(
    protocol: Protocol, critical_labels: Iterable[str], pool: Iterable[PoolImage]
) -> Iterator[bytes]:
    """Yield the lines of the pool's text. `pool` ascends by digest."""
    yield pool_header(protocol, critical_labels)
    for image in pool:
        yield pool_line(*image).encode()


def pool_digest(protocol: Protocol, critical_labels: Iterable[str], pool: Iterable[PoolImage]) -> str:
    """Return the hexadecimal SHA-256 of the pool's text, which is recorded at the freeze.

    It is the SHA-256 of the file `certificate_pool.csv` of a label set.
    """
    hashed = sha256()
    for line in pool_lines(protocol, critical_labels, pool):
        hashed.update(line)
    return hashed.hexdigest()
