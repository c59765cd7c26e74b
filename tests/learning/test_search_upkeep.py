"""Upkeep of search indexes."""

import pytest

from mekiki.learning.search import building, index, tend
from tests.vectors import embedded


@pytest.mark.django_db(transaction=True)
def test_an_index_that_could_not_be_dropped_is_not_counted(keeper: None) -> None:
    _dataset, encoder, _ids, _vectors = embedded(20)
    assert index.build(encoder)
    with index._own_session() as builder:  # another session builds this index
        builder.execute("SELECT pg_advisory_lock(%s, %s)", [building.LOCK, encoder.pk])
        assert tend()["dropped"] == 0 and index.usable(encoder)
    assert tend()["dropped"] == 1 and not index.usable(encoder)
