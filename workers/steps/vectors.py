"""The vectors of heads: embeddings, and the detail descriptors that some heads read after the embedding.

Acquisition and search use the embedding alone.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mekiki.datasets.models import Dataset
from mekiki.learning import models
from workers import embeddings
from workers.embeddings import DetailVectors, Mirror
from workers.heads.head import LinearHead
from workers.runner import Report
from workers.steps.detail import detail_row


def load_vectors(row: models.Encoder, dataset: Dataset, report: Report) -> Mirror:
    """Return an encoder's embeddings of a dataset, with the detail descriptors that are stored."""
    report(stage="reading embeddings")

    def progress(done: int, total: int) -> None:
        report(done=done, total=total, unit="images")

    mirror = embeddings.load_mirror(row, dataset, progress=progress)
    descriptor = detail_row()
    detail = embeddings.load_mirror(descriptor, dataset, progress=progress)
    rows, there = detail.rows_of(mirror.ids)
    aligned = DetailVectors(descriptor.pk, np.where(there, rows, -1), detail.vectors)
    return replace(mirror, detail=aligned)


def head_inputs(head: LinearHead, mirror: Mirror, rows: slice | NDArray[np.int64]) -> NDArray[np.float16]:
    """Return the vectors (m, head.dim) that a head reads of these rows of the mirror.

    An image without a detail descriptor gets that of the mean training image, so that only its embedding
    counts.
    """
    vectors = mirror.vectors[rows]
    if head.dim == mirror.vectors.shape[1]:
        return vectors
    centre = np.asarray(head.details["detail"]["centre"], np.float16)
    assert mirror.detail is not None  # load_vectors sets it
    return np.concatenate([vectors, mirror.detail.of(rows, centre)], axis=1)


def training_detail(
    dataset: Dataset, mirror: Mirror, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], models.Encoder] | None:
    """Return (detail (n, k) of the training images, the row of the descriptor) if a head may use it.

    None if the dataset does not use the detail, or while a training image waits for it. An image whose detail
    cannot be computed gets the mean of the others.
    """
    dataset.refresh_from_db(fields=["use_detail"])
    return read_detail(dataset, mirror, rows) if dataset.use_detail else None


def read_detail(
    dataset: Dataset, mirror: Mirror, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], models.Encoder] | None:
    """Return the detail as `training_detail`, whether or not the dataset uses it."""
    assert mirror.detail is not None  # load_vectors sets it
    there = mirror.detail.rows[rows] >= 0
    if not there.any():
        return None
    descriptor = models.Encoder.objects.get(pk=mirror.detail.encoder_id)
    missing = [int(pk) for pk in mirror.ids[rows[~there]]]
    failed = models.EncodingProblem.objects.filter(encoder=descriptor, image__in=missing)
    if failed.count() < len(missing):
        return None
    blank = np.zeros(descriptor.dim, np.float16)
    values = np.asarray(mirror.detail.of(rows, blank), np.float32)
    values[~there] = values[there].mean(axis=0).astype(np.float16)
    return values, descriptor
