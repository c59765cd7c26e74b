"""Compiled queries return what Django returns, in every thread, and see changes at once."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.db.transaction import TransactionManagementError
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext

from mekiki.audit.models import Event
from mekiki.config.compiled import CompiledQuery, IsIn, insert, insert_all, run_prepared
from mekiki.datasets.models import Image
from mekiki.review.models import QueueItem
from tests.factories import DatasetFactory, ImageFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def _waiting(dataset: Any, images: Any) -> QuerySet[QueueItem]:
    rows = QueueItem.objects.filter(IsIn("image_id", images), dataset=dataset)
    return rows.select_related("image").annotate(age=Now() - F("created_at")).order_by("position")


def test_objects_are_those_of_django_with_related_objects_and_annotations(django_assert_num_queries):
    station = Station(items=3)
    query = CompiledQuery(_waiting)
    expected = station.items[1:]
    for _ in range(2):
        with django_assert_num_queries(1):
            rows = query.all(dataset=station.dataset.pk, images=[item.image_id for item in expected])
            assert [row.image.metadata for row in rows] == [item.image.metadata for item in expected]
        assert rows == expected
        assert [row.image for row in rows] == [item.image for item in expected]
        assert all(row.age >= timedelta(0) for row in rows)  # type: ignore[attr-defined]
    assert query.first(dataset=station.dataset.pk, images=[]) is None


def test_each_call_uses_its_own_values_and_sees_new_rows():
    query = CompiledQuery(lambda dataset: Image.objects.filter(dataset=dataset).order_by("pk"))
    one, other = DatasetFactory(), DatasetFactory()
    first = ImageFactory(dataset=one)
    assert query.all(dataset=one.pk) == [first]
    assert query.all(dataset=other.pk) == []
    second = ImageFactory(dataset=other)
    assert query.all(dataset=other.pk) == [second]


def test_locking_query_needs_a_transaction_at_every_call():
    query = CompiledQuery(lambda pk: Image.objects.filter(pk=pk).select_for_update())
    image = ImageFactory()
    assert query.first(pk=image.pk) == image
    kept, connection.in_atomic_block = connection.in_atomic_block, False
    try:
        with pytest.raises(TransactionManagementError):
            query.first(pk=image.pk)
    finally:
        connection.in_atomic_block = kept


def test_constants_are_part_of_the_text_and_other_parameters_are_not():
    query = CompiledQuery(
        lambda image, dataset: Image.objects.filter(pk=image, dataset=dataset), constants=("dataset",)
    )
    one, other = ImageFactory(), ImageFactory()
    for image in (one, other, one):
        with CaptureQueriesContext(connection) as captured:
            assert query.first(image=image.pk, dataset=image.dataset_id) == image
        sql = captured[0]["sql"]
        assert f'"dataset_id" = ({image.dataset_id})' in sql and f'"id" = ({image.pk})' not in sql, sql
    assert query.first(image=one.pk, dataset=other.dataset_id) is None
    with pytest.raises(ValueError, match="invalid literal"):
        query.first(image=one.pk, dataset="1 OR true")


@pytest.mark.django_db(transaction=True)
def test_threads_share_a_query():
    station = Station(items=2)
    query = CompiledQuery(_waiting)
    images = [item.image_id for item in station.items]
    found: list[Any] = []

    def read() -> None:
        try:
            found.extend(query.all(dataset=station.dataset.pk, images=images) for _ in range(5))
        finally:
            connection.close()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [station.items] * 15


def test_inserted_objects_have_the_values_of_the_database():
    events = insert_all([Event(kind="test.done", data={"n": n}, actor_name="é") for n in range(3)])
    stored = list(Event.objects.filter(kind="test.done").order_by("pk"))
    assert [(e.pk, e.at, e.data, e.actor_name) for e in events] == [
        (e.pk, e.at, e.data, e.actor_name) for e in stored
    ]
    assert insert_all([]) == []
    events[0].refresh_from_db()


def test_errors_of_prepared_statements_are_those_of_django():
    image = ImageFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(Image(dataset=image.dataset, sha256=image.sha256, name="", width=1, height=1, size=1))
    with run_prepared("SELECT count(*) FROM datasets_image WHERE id = %s", [image.pk]) as cursor:
        assert cursor.fetchone() == (1,)
