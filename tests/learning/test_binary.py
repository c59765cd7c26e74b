"""Binary COPY in both directions: rows return unchanged for all numbers, dimensions and chunk sizes."""

from typing import Any

import numpy as np
import pytest
from django.db import DataError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from psycopg import sql

from mekiki.datasets.models import DatasetAddress
from mekiki.learning import binary, services
from mekiki.learning.models import Embedding, EmbeddingChange
from mekiki.learning.selectors import embedded_count
from tests.factories import DatasetFactory, EncoderFactory, ImageFactory
from tests.roles import as_owner, without_append_only

pytestmark = pytest.mark.django_db
HALF = st.floats(-65504, 65504, width=16, allow_subnormal=True)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Any, Any, Any, int]:
    """Return (ids, numbers, half-precision vectors, bytes in a chunk)."""
    n, dim = draw(st.integers(0, 30)), draw(st.integers(1, 70))
    ids = draw(arrays(np.int64, n, elements=st.integers(-(2**63), 2**63 - 1)))
    numbers = draw(arrays(np.float64, n, elements=st.floats(allow_nan=False)))
    return ids, numbers, draw(arrays(np.float16, (n, dim), elements=HALF)), draw(st.integers(1, 3000))


@given(table=tables())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_copied_rows_return_unchanged(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, numbers, vectors, chunk = table
    fields = {"id": binary.INT8, "number": binary.FLOAT8, "vector": binary.halfvec(vectors.shape[1])}
    rows = binary.blank_rows(len(ids), fields)
    rows["id"], rows["number"], rows["vector"]["values"] = ids, numbers, vectors
    monkeypatch.setattr(binary, "CHUNK", chunk)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE t (at serial, id bigint, number float8, vector halfvec) ON COMMIT DROP"
        )
        binary.copy_in("t", ["id", "number", "vector"], rows)
        query = sql.SQL("SELECT id, number, vector FROM t ORDER BY at")
        parts = list(binary.copy_out(query, fields))
        cursor.execute("DROP TABLE t")
    returned = np.concatenate([rows[:0], *parts])
    assert np.array_equal(returned["id"], ids) and np.array_equal(returned["number"], numbers)
    # Bit for bit: a negative zero stays a negative zero.
    assert returned["vector"]["values"].astype(np.float16).tobytes() == vectors.tobytes()


@pytest.mark.parametrize("mismatch", ["null", "other dimension"])
def test_rows_of_another_shape_are_refused(mismatch: str) -> None:
    fields = {"id": binary.INT8, "vector": binary.halfvec(3)}
    value = "NULL::halfvec" if mismatch == "null" else "'[1,2]'::halfvec"
    with pytest.raises(RuntimeError, match="expected shape"):
        list(binary.copy_out(sql.SQL("SELECT 1::bigint, {}").format(sql.SQL(value)), fields))


@pytest.mark.parametrize(
    "vectors",
    [
        [[0, 0, 0, np.nan]],
        [[0, 0, 0, np.inf]],
        [[0, 0, 0, 1e6]],  # finite, but infinite in half precision
        [[0, 0, 1]],
        [[0, 0, 0, 1, 0]],
        [0, 0, 0, 1],
        [[0, 0, 0, 1]] * 2,
        [],
    ],
)
def test_bad_embeddings_are_refused_and_not_stored(vectors: Any) -> None:
    encoder, image = EncoderFactory(dim=4), ImageFactory()
    with pytest.raises(ValueError, match="must be"):
        services.store_embeddings(encoder=encoder, image_ids=[image.pk], vectors=vectors)
    assert not Embedding.objects.exists() and not EmbeddingChange.objects.exists()


def test_existing_rows_stay_and_only_new_rows_are_recorded() -> None:
    encoder, dataset = EncoderFactory(dim=4), DatasetFactory()
    ids = [ImageFactory(dataset=dataset).pk for _ in range(4)]
    missing_id, eye = 10**12, np.eye(4)
    assert services.store_embeddings(encoder=encoder, image_ids=[*ids[:2], missing_id], vectors=eye[:3]) == 2
    assert services.store_embeddings(encoder=encoder, image_ids=ids, vectors=eye[::-1]) == 2
    assert services.store_embeddings(encoder=encoder, image_ids=ids, vectors=eye) == 0
    stored_vector = Embedding.objects.get(image_id=ids[0]).vector
    assert list(stored_vector) == [1, 0, 0, 0]
    changes = EmbeddingChange.objects.order_by("low").values_list("low", "high", "rows")
    assert list(changes) == [(ids[0], ids[1], 2), (ids[2], ids[3], 2)]
    with as_owner():
        dataset.images.filter(pk=ids[3]).delete()
    assert embedded_count(encoder=encoder, dataset=dataset) == 3
    with without_append_only(DatasetAddress):
        dataset.delete()
    assert not Embedding.objects.exists()
    assert sum(EmbeddingChange.objects.values_list("rows", flat=True)) == 0, (
        "rows that are removed by cascade are recorded too"
    )


def test_postgresql_refuses_values_that_are_not_finite() -> None:
    rows = binary.blank_rows(1, {"vector": binary.halfvec(2)})
    rows["vector"]["values"] = np.nan
    with pytest.raises(DataError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (vector halfvec) ON COMMIT DROP")
        binary.copy_in("t", ["vector"], rows)
