"""Counts of gold images and of queued images by label, for the preview of archiving a label."""

from django.db.models import Count

from mekiki.labeling.models import Label
from mekiki.learning.models import Champion, Prediction
from mekiki.review.models import GoldImage, QueueItem


def gold_by_label(label_ids: list[int]) -> dict[int, int]:
    """Return label id → number of gold images whose known label it is."""
    rows = GoldImage.objects.filter(label__in=label_ids, ended_at__isnull=True)
    return dict(rows.order_by().values_list("label_id").annotate(n=Count("pk")))


def waiting_by_label(label_ids: list[int]) -> dict[int, int]:
    """Return label id → number of images that wait in the queue and are predicted as the label."""
    datasets = Label.objects.filter(pk__in=label_ids).order_by().values("dataset").distinct()
    counts: dict[int, int] = {}
    # The head id is a constant, so that the database opens only the partition of this head.
    for dataset, head in Champion.objects.filter(dataset__in=datasets).values_list("dataset_id", "head_id"):
        waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING).values("image")
        rows = Prediction.objects.filter(head_id=head, label__in=label_ids, image__in=waiting)
        counts |= dict(rows.order_by().values_list("label_id").annotate(n=Count("*")))
    return counts
