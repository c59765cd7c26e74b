"""Choice of the next images to review, by the head in use."""

from typing import Any

from django.utils.translation import gettext_lazy

from mekiki.jobs.models import Job
from mekiki.learning import models
from mekiki.learning.selectors import champion
from workers.errors import StageError
from workers.heads.serial import load_head
from workers.locks import learning_lock
from workers.runner import Report
from workers.steps.after_scoring import ScoredHead, record_scores
from workers.steps.predictions import score_images
from workers.steps.vectors import load_vectors


def run(job: Job, report: Report) -> dict[str, Any]:
    """Fill the queue again, and update the accuracy estimate with the given audit answers."""
    dataset = job.dataset
    assert dataset is not None
    with learning_lock(dataset, report):
        current = champion(dataset)
        if current is None:
            raise StageError(
                gettext_lazy(
                    "There are no predictions yet, so no images can be chosen. Write labels and "
                    "prompts: the predictions follow."
                )
            )
        head = models.Head.objects.select_related("encoder", "prompt_set").get(pk=current.pk)
        mirror = load_vectors(head.encoder, dataset, report)
        scores = score_images(load_head(bytes(head.weights)), mirror, report)
        recorded = record_scores(ScoredHead(head, scores, mirror), report, store=False)
    return {
        "head": head.version,
        "queued": recorded.queued,
        "audited": recorded.audited,
    }
