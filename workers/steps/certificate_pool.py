"""The pool of a certificate: the images without a label of a person, with the frozen scores of a head."""

import json
from dataclasses import dataclass

import numpy as np
from django.db import connection
from numpy.typing import NDArray
from psycopg import sql

from mekiki.labeling.models import Label
from mekiki.learning import models
from mekiki.learning.binary import INT8
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates import StreamCandidate
from verification.certificates.protocol import split_metadata
from verification.certificates.regions import is_candidate
from workers.embeddings import Mirror
from workers.heads.head import LinearHead
from workers.heads.scoring import score
from workers.runner import Report
from workers.steps.vectors import head_inputs

CHUNK = 50_000
BLOCK = 8192  # images that are read as one value
_ROW = np.dtype([("id", INT8), ("sha256", "V32")])


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
    critical_label_ids: tuple[int, ...]  # the labels that are critical


def read_pool(
    certificate: Certificate, row: models.Head, head: LinearHead, mirror: Mirror, report: Report
) -> Pool:
    """Return the pool of a certificate with the scores of a head."""
    image_ids, digests = _unlabelled_images(certificate)
    pool = _score(certificate, row, head, mirror, report, image_ids, digests)
    label = certificate.scope.get("label")
    if label is None:
        return pool
    kept = pool.label_ids == int(label)
    return Pool(
        pool.image_ids[kept],
        pool.digests[kept],
        pool.label_ids[kept],
        pool.confidence[kept],
        pool.critical_probability[kept],
        pool.is_critical[kept],
        pool.not_embedded,
        pool.critical_label_ids,
    )


def read_stream(
    certificate: Certificate, row: models.Head, head: LinearHead, mirror: Mirror, report: Report
) -> list[StreamCandidate]:
    """Return the later images whose prediction lies in the certified region, in the order of import."""
    stream = certificate.stream
    image_ids, digests = _later_images(certificate, row)
    pool = _score(certificate, row, head, mirror, report, image_ids, digests)
    bound, label = certificate.critical_bound, certificate.scope.get("label")
    inside = [
        place
        for place in range(len(pool.image_ids))
        if pool.confidence[place] >= stream.confidence
        and (label is None or pool.label_ids[place] == int(label))
        and is_candidate(bool(pool.is_critical[place]), float(pool.critical_probability[place]), bound)
    ]
    return [
        StreamCandidate(
            image_id=int(pool.image_ids[place]),
            sha256=pool.digests[place].tobytes().hex(),
            label_id=int(pool.label_ids[place]),
            confidence=float(pool.confidence[place]),
            critical_probability=float(pool.critical_probability[place]),
        )
        for place in sorted(inside, key=lambda place: int(pool.image_ids[place]))
    ]


def _score(
    certificate: Certificate,
    row: models.Head,
    head: LinearHead,
    mirror: Mirror,
    report: Report,
    image_ids: NDArray[np.int64],  # (n,)
    digests: NDArray[np.uint8],  # (n, 32)
) -> Pool:
    """Return the images that have an embedding, with the scores of a head."""
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
        tuple(sorted(critical)),
    )


def _unlabelled_images(certificate: Certificate) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return (ids (n,), digests (n, 32)) of the images in scope that no person has labelled, by digest."""
    query = sql.SQL(
        "SELECT i.id, i.sha256 FROM datasets_image i WHERE i.dataset_id = {}{}"
        " AND NOT EXISTS (SELECT FROM review_confirmedlabel c WHERE c.image_id = i.id)"
    ).format(sql.Literal(certificate.dataset_id), _in_scope(certificate))
    return _read(query)


def _in_scope(certificate: Certificate) -> sql.Composed:
    """Return the conditions on the table of images, as `i`, for the scope of a certificate."""
    parts = []
    if certificate.batch_id is not None:
        parts.append(sql.SQL(" AND i.batch_id = {}").format(sql.Literal(certificate.batch_id)))
    if "metadata" in certificate.scope:
        key, value = split_metadata(certificate.scope["metadata"])
        wanted = json.dumps({key: value})
        parts.append(sql.SQL(" AND i.metadata @> {}::jsonb").format(sql.Literal(wanted)))
    return sql.Composed(parts)


# The stored confidence is a rounded value, so the query takes a few images more. The scores decide.
ROUNDING = 1e-4


def _later_images(certificate: Certificate, row: models.Head) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return (ids (n,), digests (n, 32)) of later images that may lie in the certified region, by digest.

    An image that was imported after the freeze, is predicted by the head, and that no reviewer has opened,
    labelled, skipped or flagged. Images of the frozen pool and images with a label are left out.
    """
    query = sql.SQL(
        "SELECT i.id, i.sha256 FROM learning_prediction p"
        " JOIN datasets_image i ON i.id = p.image_id"
        " JOIN labeling_label l ON l.id = p.label_id AND NOT l.critical AND l.archived_at IS NULL"
        " WHERE p.head_id = {head} AND p.confidence >= {confidence} AND i.created_at > {frozen}"
        " AND NOT EXISTS (SELECT FROM review_confirmedlabel c WHERE c.image_id = i.id)"
        " AND NOT EXISTS (SELECT FROM review_decision d WHERE d.image_id = i.id)"
        " AND NOT EXISTS (SELECT FROM review_lease s JOIN review_queueitem q ON q.id = s.item_id"
        " WHERE q.image_id = i.id)"
        " AND NOT EXISTS (SELECT FROM quality_machinelabel m"
        " WHERE m.certificate_id = {certificate} AND m.image_id = i.id)"
        " AND NOT EXISTS (SELECT FROM quality_certificateimage f"
        " WHERE f.certificate_id = {certificate} AND f.image_id = i.id)"
        " AND i.dataset_id = {dataset}{scope}"
    ).format(
        dataset=sql.Literal(certificate.dataset_id),
        scope=_in_scope(certificate),
        head=sql.Literal(row.pk),
        confidence=sql.Literal(certificate.stream.confidence - ROUNDING),
        frozen=sql.Literal(certificate.frozen_at),
        certificate=sql.Literal(certificate.pk),
    )
    return _read(query)


def _read(query: sql.Composed) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the ids (n,) and digests (n, 32) of the images that a query selects, by digest.

    PostgreSQL joins the rows of many images to one value: to receive a million rows takes seconds.
    """
    joined = sql.SQL(
        "SELECT string_agg(int8send(i.id) || decode(i.sha256, 'hex'), ''::bytea) FROM ({}) i"
        " GROUP BY i.id / {}"
    ).format(query, sql.Literal(BLOCK))
    with connection.cursor() as cursor:
        cursor.execute(joined)
        rows = np.frombuffer(b"".join(row[0] for row in cursor.fetchall()), _ROW)
    digests = np.ascontiguousarray(rows["sha256"]).view(np.uint8).reshape(len(rows), 32)
    order = np.lexsort(digests.view(">u8").T[::-1])
    return rows["id"].astype(np.int64)[order], digests[order]
