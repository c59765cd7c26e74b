"""Items of the stream “review again” for many images at once."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Min

from mekiki.datasets.models import Dataset, Image
from mekiki.learning.selectors import champion
from mekiki.review.models import TEST_STREAMS, ConfirmedLabel, Decision, ExcludedImage, QueueItem, Stream
from mekiki.review.overlap import overlap_rules
from mekiki.review.services.items import withdraw_tests

BATCH = 1000


@transaction.atomic
def queue_rechecks(*, dataset: Dataset, image_ids: Sequence[int]) -> int:
    """Put images first in the queue, in their order, to be reviewed again; return how many were added.

    An image that waits already keeps its item. Excluded images are skipped.
    """
    known = set(Image.objects.filter(dataset=dataset, pk__in=list(image_ids)).values_list("pk", flat=True))
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    known -= set(waiting.filter(image__in=list(known)).values_list("image_id", flat=True))
    known -= set(ExcludedImage.objects.filter(image__in=known).values_list("image_id", flat=True))
    wanted = [image_id for image_id in dict.fromkeys(image_ids) if image_id in known]
    head = champion(dataset)
    first = (waiting.aggregate(first=Min("position"))["first"] or 0.0) - len(wanted) - 1
    overlap = overlap_rules(dataset).overlap_of(Stream.RECHECK)
    made = QueueItem.objects.bulk_create(
        [
            QueueItem(
                dataset=dataset,
                image_id=image_id,
                stream=Stream.RECHECK,
                propensity=1.0,  # chosen by a person, not drawn
                head=head,
                position=first + place,
                overlap=overlap,
            )
            for place, image_id in enumerate(wanted)
        ],
        batch_size=BATCH,
    )
    return len(made)


@transaction.atomic
def queue_for_review(*, dataset: Dataset, image_ids: Sequence[int]) -> int:
    """Put images first in the queue on behalf of an admin, as `request_recheck` does for one image.

    Return how many were added. An image that waits already, or that is set aside or excluded, stays as it is.
    An image of the audit sample is judged blind again. If it waits to measure a reviewer, that item is
    withdrawn, so that the number does not tell which images are tests. Images without a label may be given
    too, but none that hides its facts.
    """
    ids = list(
        Image.objects.filter(dataset=dataset, pk__in=list(image_ids))
        .order_by("pk")
        .select_for_update(no_key=True)
        .values_list("pk", flat=True)
    )
    items = QueueItem.objects.filter(image__in=ids)
    waiting = items.filter(state=QueueItem.State.WAITING)
    tests = set(waiting.filter(stream__in=TEST_STREAMS).values_list("image_id", flat=True))
    for image_id in sorted(tests):
        withdraw_tests(image_id)
    taken = set(waiting.exclude(stream__in=TEST_STREAMS).values_list("image_id", flat=True))
    taken |= set(items.filter(state=QueueItem.State.SET_ASIDE).values_list("image_id", flat=True))
    taken |= set(ExcludedImage.objects.filter(image__in=ids).values_list("image_id", flat=True))
    labels = {
        row.image_id: row for row in ConfirmedLabel.objects.filter(image__in=ids).select_related("decision")
    }
    head, rules = champion(dataset), overlap_rules(dataset)
    wanted = [image_id for image_id in ids if image_id not in taken]
    first = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING).aggregate(
        first=Min("position")
    )["first"]
    made = []
    for place, image_id in enumerate(wanted, start=-len(wanted)):
        label = labels.get(image_id)
        audited = label is not None and label.stream == Stream.AUDIT and not label.in_training
        stream = Stream.AUDIT if audited else Stream.RECHECK
        overlap = rules.overlap_of(stream, answers=[label.label_id] if label is not None else [])
        if label is not None and label.decision.kind == Decision.Kind.RULE:
            overlap = max(overlap, 2)
        made.append(
            QueueItem(
                dataset=dataset,
                image_id=image_id,
                stream=stream,
                propensity=1.0,  # chosen by a person, not drawn
                head=head,
                position=(first or 0.0) + place,
                overlap=overlap,
            )
        )
    # A refill can add an item for an image at the same time.
    QueueItem.objects.bulk_create(made, batch_size=BATCH, ignore_conflicts=True)
    return len(made)
