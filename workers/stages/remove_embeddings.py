"""Deletion of a dataset's embeddings by an encoder that is not in use, in batches."""

from typing import Any

from mekiki.jobs.models import Job
from mekiki.jobs.payloads import RemoveEmbeddingsPayload
from mekiki.learning import models
from mekiki.learning.search import index
from mekiki.learning.selectors import embedded_count
from mekiki.learning.services import record_removal, remove_embeddings
from workers import embeddings
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Remove the embeddings. If the job is stopped, the remaining ones can be removed later."""
    dataset = job.dataset
    assert dataset is not None
    encoder = models.Encoder.objects.get(pk=RemoveEmbeddingsPayload.of(job).encoder_id)
    total = embedded_count(encoder=encoder, dataset=dataset)
    report(stage="removing embeddings", done=0, total=total, unit="images")
    removed = 0
    while n := remove_embeddings(encoder=encoder, dataset=dataset):
        removed += n
        report(done=removed)
    embeddings.delete_mirror(encoder, dataset)
    if not index.is_needed(encoder.pk):
        index.drop(encoder.pk)
    record_removal(dataset=dataset, encoder=encoder, removed=removed, user=job.created_by)
    return {"removed": removed, "encoder": encoder.name}
