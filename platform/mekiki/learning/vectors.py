"""Queries for embeddings and predictions as arrays.

They are apart from the selectors, because most processes never need NumPy (docs/decisions/0050).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray
from psycopg import sql

from mekiki.datasets.models import Dataset
from mekiki.learning.binary import FLOAT8, INT8, UUID, blank_rows, copy_out, halfvec
from mekiki.learning.models import Encoder, Head


@dataclass(frozen=True)
class Changes:
    """The log of added and removed embeddings of one dataset by one encoder, in no order."""

    tokens: NDArray[np.uint64]  # (c,) first half of the random id of each change: 60 random bits
    low: NDArray[np.int64]  # (c,) bounds of its image ids, both inclusive
    high: NDArray[np.int64]
    rows: int  # number of embeddings: the sum over all changes


def embedding_changes(
    *, encoder: Encoder, dataset: Dataset, using: BaseDatabaseWrapper | None = None
) -> Changes:
    """Return all log rows on a dataset's embeddings.

    There is one log row for a few hundred embeddings, so this is cheap even for a million embeddings.
    """
    query = sql.SQL(
        "SELECT id, low, high, rows FROM learning_embeddingchange WHERE encoder_id = {} AND dataset_id = {}"
    ).format(sql.Literal(encoder.pk), sql.Literal(dataset.pk))
    fields = {"id": UUID, "low": INT8, "high": INT8, "rows": INT8}
    parts = list(copy_out(query, fields, using=using))
    changes = np.concatenate(parts) if parts else blank_rows(0, fields)
    return Changes(
        changes["id"]["first"].astype(np.uint64),
        changes["low"].astype(np.int64),
        changes["high"].astype(np.int64),
        int(changes["rows"].astype(np.int64).sum()),
    )


def read_embeddings(
    *,
    encoder: Encoder,
    dataset: Dataset,
    after: int = 0,
    until: int = 2**63 - 1,
    using: BaseDatabaseWrapper | None = None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float16]]]:
    """Yield chunks of embeddings as arrays, for image ids with after < id <= until.

    A chunk is (image ids (m,), audit keys (m,), vectors (m, d)). The image ids are ascending.
    """
    query = sql.SQL(
        "SELECT e.image_id, i.audit_key, e.vector FROM learning_embedding e "
        "JOIN datasets_image i ON i.id = e.image_id "
        "WHERE e.encoder_id = {} AND i.dataset_id = {} AND e.image_id > {} AND e.image_id <= {} "
        "ORDER BY e.image_id"
    ).format(sql.Literal(encoder.pk), sql.Literal(dataset.pk), sql.Literal(after), sql.Literal(until))
    fields = {"image": INT8, "key": FLOAT8, "vector": halfvec(encoder.dim)}
    for rows in copy_out(query, fields, using=using):
        yield (
            rows["image"].astype(np.int64),
            rows["key"].astype(np.float64),
            rows["vector"]["values"].astype(np.float16),
        )


def predicted_image_ids(head: Head) -> NDArray[np.int64]:
    """Return the ids of the images with stored predictions of a head, ascending."""
    query = sql.SQL("SELECT image_id FROM learning_prediction WHERE head_id = {} ORDER BY image_id").format(
        sql.Literal(head.pk)
    )
    parts = [rows["image"].astype(np.int64) for rows in copy_out(query, {"image": INT8})]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
