"""Items of the stream “review again” for many images at once."""

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Min

from mekiki.datasets.models import Dataset, Image
from mekiki.learning.selectors import champion
from mekiki.review.models import QueueItem, Stream
from mekiki.review.overlap import overlap_rules

BATCH = 1000


@transaction.atomic
def queue_rechecks(*, dataset: Dataset, image_ids: Sequence[int]) -> int:
    """Put images first in the queue, in their order, to be reviewed again; return how many were added.

    An image that waits already keeps its item.
    """
    known = set(Image.objects.filter(dataset=dataset, pk__in=list(image_ids)).values_list("pk", flat=True))
    waiting = QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING)
    known -= set(waiting.filter(image__in=list(known)).values_list("image_id", flat=True))
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
