"""The search index is removed with the embeddings, unless other images need it."""

import pytest

from mekiki.jobs.models import Kind
from mekiki.jobs.services import claim, enqueue
from mekiki.learning.models import Embedding
from mekiki.learning.search import index
from tests.factories import DatasetFactory, EncoderFactory
from tests.vectors import embedded
from workers.runner import Report
from workers.stages import remove_embeddings


@pytest.mark.django_db(transaction=True)
def test_index_is_removed_with_the_last_embeddings(
    monkeypatch: pytest.MonkeyPatch, index_builder: None
) -> None:
    monkeypatch.setattr(index, "EXACT_UP_TO", 40)
    encoder = EncoderFactory(dim=16)
    one, other = DatasetFactory(encoder_name="another"), DatasetFactory(encoder_name="another")
    for dataset in (one, other):
        embedded(60, dim=16, dataset=dataset, encoder=encoder)
    assert index.build(encoder)
    for dataset, stays in ((one, True), (other, False)):
        queued = enqueue(kind=Kind.REMOVE_EMBEDDINGS, dataset=dataset, payload={"encoder_id": encoder.pk})
        job = claim(str(queued.pk))
        assert job is not None
        assert remove_embeddings.run(job, Report(job))["removed"] == 60
        assert index.is_searchable(encoder) is stays
    assert not Embedding.objects.filter(encoder=encoder).exists()
