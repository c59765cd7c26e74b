"""The freeze of a certificate: scores, regions, audit order and commitment are fixed in one transaction."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.learning.binary import FLOAT8, INT4, INT8, blank_rows, copy_in
from mekiki.learning.models import Head
from mekiki.quality.certificates import protocol_of
from mekiki.quality.models import Certificate, CertificateImage
from mekiki.review.services.certificate_audits import withdraw_candidates
from verification.certificates.protocol import Protocol
from verification.certificates.record import pool_header, pool_line
from verification.certificates.regions import region_sizes

_BLOCK = 10_000  # images whose lines are hashed at once
_COLUMNS: dict[str, np.dtype] = {
    "certificate_id": INT8,
    "image_id": INT8,
    "label_id": INT8,
    "confidence": FLOAT8,
    "critical_probability": FLOAT8,
    "rank": INT4,
    "audit_position": INT4,
}


@dataclass(frozen=True)
class FrozenPool:
    """The frozen predictions of the n images of the pool, in ascending order of their SHA-256.

    The pool holds the embedded images that no person has labelled.
    """

    image_ids: NDArray[np.int64]  # (n,)
    digests: NDArray[np.uint8]  # (n, 32) SHA-256 of each image
    label_ids: NDArray[np.int64]  # (n,)
    confidence: NDArray[np.float64]  # (n,) in [0, 1]
    critical_probability: NDArray[np.float64]  # (n,) in [0, 1]
    rank: NDArray[np.int64]  # (n,) 1 … candidates, most confident first; 0 if the image is no candidate
    audit_position: NDArray[np.int64]  # (n,) 1 … n
    critical_label: int  # images left out because their predicted label is critical
    critical_risk: int  # images left out because their critical probability is above the bound
    not_embedded: int  # images left out because they have no embedding

    critical_label_ids: tuple[int, ...] = ()  # the labels that were critical when the pool was read

    def label_sizes(self, protocol: Protocol) -> dict[str, list[int]]:
        """Return label id → candidates predicted so in each region, for labels with an alpha of their own."""
        regions = region_sizes(int(np.count_nonzero(self.rank)), protocol.levels)
        sizes = {}
        for label in protocol.alpha_by_label:
            ranks = np.sort(self.rank[(self.label_ids == int(label)) & (self.rank > 0)])
            sizes[label] = np.searchsorted(ranks, regions, side="right").tolist()
        return sizes

    def digest(self, protocol: Protocol) -> str:
        """Return the SHA-256 of the pool's text (verification.certificates.record): all that is frozen."""
        hashed = hashlib.sha256(pool_header(protocol, map(str, self.critical_label_ids)))
        frozen = (self.label_ids, self.confidence, self.critical_probability, self.rank)
        columns = [np.asarray(column) for column in frozen]
        for first in range(0, len(self.image_ids), _BLOCK):
            part = slice(first, first + _BLOCK)
            digests = [digest.tobytes().hex() for digest in self.digests[part]]
            rows = zip(digests, *(column[part].tolist() for column in columns), strict=True)
            hashed.update("".join([pool_line(*row) for row in rows]).encode())
        return hashed.hexdigest()


def _rows(certificate: Certificate, pool: FrozenPool) -> NDArray[Any]:
    """Return the rows of the pool by image id: an index grows fastest at its end."""
    rows = blank_rows(len(pool.image_ids), _COLUMNS)
    rows["certificate_id"] = certificate.pk
    rows["image_id"], rows["label_id"] = pool.image_ids, pool.label_ids
    rows["confidence"], rows["critical_probability"] = pool.confidence, pool.critical_probability
    rows["rank"], rows["audit_position"] = pool.rank, pool.audit_position
    return rows[np.argsort(pool.image_ids)]


@transaction.atomic
def record_freeze(
    *, certificate: Certificate, head: Head, pool: FrozenPool, seed: bytes, commitment: str
) -> Certificate | None:
    """Store the frozen pool and publish the commitment of the seed, in one transaction with one event.

    Return the certificate, or None if it is not being frozen any more (cancelled, or frozen already).
    """
    certificate = Certificate.objects.select_for_update(of=("self",)).get(pk=certificate.pk)
    if certificate.state != Certificate.State.FREEZING:
        return None
    # The digest is computed while PostgreSQL stores the rows.
    with ThreadPoolExecutor(1) as beside:
        digest = beside.submit(pool.digest, protocol_of(certificate))
        copy_in(CertificateImage._meta.db_table, list(_COLUMNS), _rows(certificate, pool))
        certificate.pool_digest = digest.result()
    certificate.state = Certificate.State.AUDITING
    certificate.head = head
    certificate.seed = seed
    certificate.commitment = commitment
    certificate.label_sizes = pool.label_sizes(protocol_of(certificate))
    certificate.pool = len(pool.image_ids)
    certificate.candidates = int(np.count_nonzero(pool.rank))
    certificate.critical_label, certificate.critical_risk = pool.critical_label, pool.critical_risk
    certificate.not_embedded = pool.not_embedded
    certificate.frozen_at = clock.now()
    certificate.save()
    # Labels of people for candidates count toward the limit, so the queue leaves the candidates to the audit.
    candidates = CertificateImage.objects.filter(certificate=certificate, rank__gte=1)
    withdraw_candidates(dataset=certificate.dataset, images=candidates.values("image_id"))
    record(
        kind="certificate.frozen",
        dataset=certificate.dataset,
        target=certificate,
        data={
            "version": certificate.version,
            "commitment": commitment,
            "pool_digest": certificate.pool_digest,
            "pool": certificate.pool,
            "candidates": certificate.candidates,
            "critical_label": certificate.critical_label,
            "critical_risk": certificate.critical_risk,
            "critical_labels": sorted(pool.critical_label_ids),
            "not_embedded": certificate.not_embedded,
            "head": head.version,
            "head_digest": head.digest,
        },
    )
    return certificate
