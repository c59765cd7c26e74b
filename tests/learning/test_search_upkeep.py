"""Upkeep of search indexes."""

import pytest

from mekiki.learning.search import building, index, maintain_search
from tests.vectors import embedded


@pytest.mark.django_db(transaction=True)
def test_an_index_that_could_not_be_dropped_is_not_counted(index_builder: None) -> None:
    _dataset, encoder, _ids, _vectors = embedded(20)
    assert index.build(encoder)
    with index._own_session() as builder:  # another session builds this index
        builder.execute("SELECT pg_advisory_lock(%s, %s)", [building.LOCK, encoder.pk])
        assert maintain_search()["dropped"] == 0 and index.is_searchable(encoder)
    assert maintain_search()["dropped"] == 1 and not index.is_searchable(encoder)
