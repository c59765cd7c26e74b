"""The most similar images: exact where they are few, by the HNSW index where they are many.

Similarity is the inner product of unit vectors, the cosine. Which way is taken depends on how many images the
other filters leave: a graph search that throws most of what it finds away is slow and misses some, while looking
at ten thousand vectors is quick and exact. When the graph yields too few, everything is looked at: slower, never
wrong by silence.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from django.core.exceptions import EmptyResultSet
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from numpy.typing import NDArray

from mekiki.datasets.models import Image
from mekiki.learning.models import Embedding, Encoder
from mekiki.learning.search.index import EXACT_UP_TO, usable

TOP = 180  # results of one search; a page shows a part of them
WIDTH = 800  # hnsw.ef_search: candidates the graph search keeps
SCAN_TUPLES = 40_000  # how far an iterative scan goes before it gives up
PATIENCE = "8s"


class SearchTooSlowError(Exception):
    """Looking at every vector took too long."""


@dataclass(frozen=True)
class Neighbours:
    """(image id, similarity) of the most similar images, best first. `exact`: nothing nearer was missed."""

    hits: list[tuple[int, float]]
    exact: bool


def vector_of(encoder: Encoder, image: Image) -> NDArray[np.float32] | None:
    """The image's embedding (d,); None while it has none."""
    row = Embedding.objects.filter(encoder=encoder, image=image).first()
    return None if row is None else np.asarray(row.vector, np.float32)


def nearest(
    *, encoder: Encoder, vector: NDArray[np.floating], images: QuerySet[Image], limit: int = TOP
) -> Neighbours:
    """The `limit` most similar of `images` to `vector` (d,); ties by ascending image id.

    ValueError: another shape, or values that are not finite. SearchTooSlowError: narrow `images` down.
    """
    values = np.asarray(vector, np.float32)
    if values.shape != (encoder.dim,) or not np.isfinite(values).all():
        raise ValueError(f"a finite vector of {encoder.dim} dimensions is needed, got {values.shape}")
    wanted = "[" + ",".join(f"{x:.7g}" for x in values) + "]"
    wanted_ids = images.order_by().values("pk")
    try:
        inner, parameters = wanted_ids.query.sql_with_params()
    except EmptyResultSet:
        return Neighbours([], exact=True)
    few = wanted_ids[: EXACT_UP_TO + 1].count() <= EXACT_UP_TO
    if not few and usable(encoder):
        hits = _by_graph(encoder, wanted, inner, parameters, limit)
        if len(hits) >= limit:
            return Neighbours(hits, exact=False)
    return Neighbours(_exact(encoder, wanted, inner, parameters, limit), exact=True)


def _by_graph(
    encoder: Encoder, wanted: str, inner: str, parameters: tuple[Any, ...], limit: int
) -> list[tuple[int, float]]:
    distance = f"(e.vector::halfvec({encoder.dim})) <#> %s::halfvec({encoder.dim})"
    with transaction.atomic(), connection.cursor() as cursor:
        # The planner knows nothing of how far a filtered graph search goes: it is told to walk the graph and look
        # each candidate up. Iterative: it goes on until enough candidates passed the filters.
        cursor.execute(
            "SET LOCAL hnsw.iterative_scan = strict_order; "
            f"SET LOCAL hnsw.ef_search = {WIDTH}; SET LOCAL hnsw.max_scan_tuples = {SCAN_TUPLES}; "
            "SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "
            "SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0"
        )
        cursor.execute(  # only numbers and Django's own SQL are put together
            f"SELECT e.image_id, -({distance}) FROM learning_embedding e "  # noqa: S608
            f"WHERE e.encoder_id = {encoder.pk} AND e.image_id IN ({inner}) ORDER BY {distance} LIMIT %s",
            [wanted, *parameters, wanted, limit],
        )
        return sorted(cursor.fetchall(), key=lambda hit: (-hit[1], hit[0]))


def _exact(
    encoder: Encoder, wanted: str, inner: str, parameters: tuple[Any, ...], limit: int
) -> list[tuple[int, float]]:
    # 0 - …: another expression than the index has, so that it is not asked.
    similarity = f"0 - ((e.vector::halfvec({encoder.dim})) <#> %s::halfvec({encoder.dim}))"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE}'")
            cursor.execute(
                f"SELECT e.image_id, {similarity} AS similarity FROM learning_embedding e "  # noqa: S608
                f"WHERE e.encoder_id = {encoder.pk} AND e.image_id IN ({inner}) "
                "ORDER BY similarity DESC, e.image_id LIMIT %s",
                [wanted, *parameters, limit],
            )
            return cursor.fetchall()
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise SearchTooSlowError from error
        raise
