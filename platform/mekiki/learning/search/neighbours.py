"""Search for the most similar images: exact for few images, with the HNSW index for many images.

Similarity is the inner product of unit vectors, that is, the cosine. The method depends on the number of
images that pass the other filters. A graph search that must discard most candidates is slow and misses some
images, while comparing ten thousand vectors is fast and exact. If the graph search returns too few images,
all vectors are compared. This is slower, but no result is missed.

Detail descriptors are no unit vectors. They are compared by their Euclidean distance, all of them: they have
no index.
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
from mekiki.learning.search.index import EXACT_UP_TO, is_searchable

MAX_HITS = 180  # results of one search; a page shows only a part
EF_SEARCH = 800  # hnsw.ef_search: candidates the graph search keeps
SCAN_TUPLES = 40_000  # hnsw.max_scan_tuples: limit of an iterative scan
STATEMENT_TIMEOUT = "8s"


class SearchTooSlowError(Exception):
    """Raised if the comparison of all vectors took too long."""


@dataclass(frozen=True)
class Neighbours:
    """The most similar images as pairs (image id, similarity), best first.

    Of detail descriptors the similarity is minus the distance.
    `exact` is True if it is certain that no more similar image was missed.
    """

    hits: list[tuple[int, float]]
    exact: bool


def vector_of(encoder: Encoder, image: Image) -> NDArray[np.float32] | None:
    """Return the image's embedding (d,), or None if it has none."""
    row = Embedding.objects.filter(encoder=encoder, image=image).first()
    return None if row is None else np.asarray(row.vector, np.float32)


def nearest_images(
    *, encoder: Encoder, vector: NDArray[np.floating], images: QuerySet[Image], limit: int = MAX_HITS
) -> Neighbours:
    """Return the `limit` images of `images` most similar to `vector` (d,), ties by ascending image id.

    Raises ValueError if the shape is wrong or a value is not finite. Raises SearchTooSlowError if the search
    took too long. Fewer `images` make it faster.
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
    if encoder.kind == Encoder.Kind.DETAIL:
        return Neighbours(_exact(encoder, wanted, inner, parameters, limit), exact=True)
    few = wanted_ids[: EXACT_UP_TO + 1].count() <= EXACT_UP_TO
    if not few and is_searchable(encoder):
        hits = _by_graph(encoder, wanted, inner, parameters, limit)
        if len(hits) >= limit:
            return Neighbours(hits, exact=False)
    return Neighbours(_exact(encoder, wanted, inner, parameters, limit), exact=True)


def _by_graph(
    encoder: Encoder, wanted: str, inner: str, parameters: tuple[Any, ...], limit: int
) -> list[tuple[int, float]]:
    distance = f"(e.vector::halfvec({encoder.dim})) <#> %s::halfvec({encoder.dim})"
    with transaction.atomic(), connection.cursor() as cursor:
        # The planner cannot estimate a filtered graph search, so these settings force a walk along the graph
        # with a lookup of each candidate. The iterative scan continues until enough candidates passed the
        # filters.
        cursor.execute(
            "SET LOCAL hnsw.iterative_scan = strict_order; "
            f"SET LOCAL hnsw.ef_search = {EF_SEARCH}; SET LOCAL hnsw.max_scan_tuples = {SCAN_TUPLES}; "
            "SET LOCAL enable_sort = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; "
            "SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0"
        )
        cursor.execute(  # the statement contains only numbers and Django's SQL
            f"SELECT e.image_id, -({distance}) FROM learning_embedding e "  # noqa: S608
            f"WHERE e.encoder_id = {encoder.pk} AND e.image_id IN ({inner}) ORDER BY {distance} LIMIT %s",
            [wanted, *parameters, wanted, limit],
        )
        return sorted(cursor.fetchall(), key=lambda hit: (-hit[1], hit[0]))


def _exact(
    encoder: Encoder, wanted: str, inner: str, parameters: tuple[Any, ...], limit: int
) -> list[tuple[int, float]]:
    # “0 - …” differs from the index expression, so PostgreSQL does not use the index.
    operator = "<->" if encoder.kind == Encoder.Kind.DETAIL else "<#>"
    similarity = f"0 - ((e.vector::halfvec({encoder.dim})) {operator} %s::halfvec({encoder.dim}))"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
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
