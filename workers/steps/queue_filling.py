"""Choice of the next images to review, and filling of the queue."""

import numpy as np
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from mekiki.datasets.models import Dataset
from mekiki.learning import models
from mekiki.learning.services import seed_for
from mekiki.review.models import Decision, Lease, QueueItem
from mekiki.review.selectors import (
    active_decisions,
    audited_image_ids,
    reserve_limits,
    reviewed_image_ids,
    training_labels,
    without_tests,
)
from mekiki.review.services import fill_queue
from workers.acquisition.mix import choose_batch
from workers.embeddings import Mirror
from workers.heads.scoring import Scores
from workers.runner import Report


def refill_queue(dataset: Dataset, head: models.Head, scores: Scores, mirror: Mirror, report: Report) -> int:
    """Choose `dataset.queue_target` images by the head's scores and replace the queue.

    Return the number of new queue items. Candidates are embedded images that nobody answered and nobody has
    leased. Skipped images outside the audit reserve return only if too few other images are left. The reserve
    is drawn from skipped images too, because otherwise its sample would be biased toward easy images.
    """
    report(stage="choosing the next images")
    dataset.refresh_from_db(
        fields=[
            *("queue_target", "acquisition", "audit_fraction", "overlap"),
            *("gold_share", "gold_days", "repeat_share", "repeat_days"),
        ]
    )
    answered = reviewed_image_ids(dataset)
    held = _held_image_ids(dataset)
    candidate = ~mirror.mask_of(sorted(answered | held))
    reserve = mirror.keys < dataset.audit_fraction
    for last, share in reserve_limits(dataset):
        reserve &= (mirror.ids > last) | (mirror.keys < share)
    # Images audited before and reviewed again because their label was removed. A lower audit share does not
    # change that.
    reserve |= mirror.mask_of(sorted(audited_image_ids(dataset)))
    batch = min(dataset.queue_target, int(candidate.sum()))
    skipped = mirror.mask_of(_skipped_image_ids(dataset)) & ~reserve
    if int((candidate & ~skipped).sum()) >= batch:
        candidate &= ~skipped
    index = {label_id: i for i, label_id in enumerate(head.label_ids)}
    labelled = [index[label] for _image, label, _decision in training_labels(dataset) if label in index]
    counts = np.bincount(np.asarray(labelled, np.int64), minlength=len(index))
    choice = choose_batch(
        X=mirror.vectors,
        scores=scores,
        candidate=candidate,
        reserve=reserve,
        batch=batch,
        audit_fraction=dataset.audit_fraction,
        strategy=dataset.acquisition,
        labelled_counts=counts,
        seed=seed_for(dataset, "choice", head.version, len(answered)),
        cold=not labelled,
    )
    report()
    return fill_queue(
        dataset=dataset,
        head=head,
        image_ids=[int(i) for i in mirror.ids[choice.index]],
        streams=[str(s) for s in choice.stream],
        propensities=[float(p) for p in choice.propensity],
    )


def _held_image_ids(dataset: Dataset) -> set[int]:
    """Return the images with a live lease."""
    live = Lease.objects.filter(item=OuterRef("pk"), ended_at__isnull=True, expires_at__gt=Now())
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    return set(waiting.filter(Exists(live)).values_list("image_id", flat=True))


def _skipped_image_ids(dataset: Dataset) -> list[int]:
    """Return the images with a valid skip decision."""
    skips = without_tests(active_decisions(dataset=dataset, kind=Decision.Kind.SKIP))
    return sorted(set(skips.values_list("image_id", flat=True)))
