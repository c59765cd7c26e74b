"""The pool of a certificate: the images without a label of a person, with the frozen scores of a head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from mekiki.labeling.models import Label
from mekiki.learning import models
from mekiki.learning.binary import INT8, copy_out
from mekiki.quality.models import Certificate
from workers.embeddings import Mirror
from workers.heads.head import LinearHead
from workers.heads.scoring import score
from workers.runner import Report
from workers.steps.vectors import head_inputs

CHUNK = 50_000
SHA256 = np.dtype("V32")


@dataclass(frozen=True)
class Pool:
    """The n embedded images of the pool, in ascending order of their SHA-256, and the head's scores."""

    image_ids: NDArray[np.int64]  # (n,)
    digests: NDArray[np.uint8]  # (n, 32) SHA-256 of the file
    label_ids: NDArray[np.int64]  # (n,) predicted labels
    confidence: NDArray[np.float64]  # (n,)
    critical_probability: NDArray[np.float64]  # (n,) of all critical labels together
    is_critical: NDArray[np.bool_]  # (n,) whether the predicted label is critical
    not_embedded: int  # images of the pool without an embedding


def read_pool(
    certificate: Certificate, row: models.Head, head: LinearHead, mirror: Mirror, report: Report
) -> Pool:
    """Return the pool of a certificate with the scores of a head."""
    image_ids, digests = _unlabelled_images(certificate)
    rows, embedded = mirror.rows_of(image_ids)
    image_ids, digests, rows = image_ids[embedded], digests[embedded], rows[embedded]
    labels = np.asarray(row.label_ids, np.int64)
    critical = set(
        Label.objects.filter(dataset=certificate.dataset_id, critical=True).values_list("pk", flat=True)
    )
    columns = np.flatnonzero([label_id in critical for label_id in row.label_ids])
    n = len(image_ids)
    label = np.zeros(n, np.int64)
    confidence = np.zeros(n, np.float64)
    risk = np.zeros(n, np.float64)
    report(stage="predicting", done=0, total=n, unit="images")
    for start in range(0, n, CHUNK):
        part = slice(start, min(start + CHUNK, n))
        vectors = head_inputs(head, mirror, rows[part])
        scores = score(head, vectors)
        label[part], confidence[part] = labels[scores.label], scores.confidence
        if len(columns):
            risk[part] = head.predict_proba(vectors)[:, columns].sum(axis=1)
        report(done=part.stop)
    return Pool(
        image_ids,
        digests,
        label,
        confidence,
        np.clip(risk, 0.0, 1.0),
        np.isin(label, sorted(critical)),
        int((~embedded).sum()),
    )


def _unlabelled_images(certificate: Certificate) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return (ids (n,), digests (n, 32)) of the images in scope that no person has labelled, by digest."""
    in_scope = (
        sql.SQL("AND i.batch_id = {}").format(sql.Literal(certificate.batch_id))
        if certificate.batch_id is not None
        else sql.SQL("")
    )
    query = sql.SQL(
        "SELECT i.id, decode(i.sha256, 'hex') FROM datasets_image i WHERE i.dataset_id = {} {}"
        " AND NOT EXISTS (SELECT FROM review_confirmedlabel c WHERE c.image_id = i.id)"
        ' ORDER BY i.sha256 COLLATE "C"'
    ).format(sql.Literal(certificate.dataset_id), in_scope)
    parts = [part.copy() for part in copy_out(query, {"id": INT8, "sha256": SHA256})]
    if not parts:
        return np.empty(0, np.int64), np.empty((0, 32), np.uint8)
    ids = np.concatenate([part["id"].astype(np.int64) for part in parts])
    raw = b"".join(part["sha256"].tobytes() for part in parts)
    return ids, np.frombuffer(raw, np.uint8).reshape(len(ids), 32)
