"""Images that hide their name, metadata and prediction, and what pages show instead.

An image of the audit reserve hides these facts from everybody until its audit answer is valid, whether or not
it waits in the queue. A person who has seen the prediction could not judge the image blind later. See
docs/decisions/0016-what-a-blind-image-hides.md.
"""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.review.models import (
    AUDIT_UNDO_PERIOD,
    BLIND_STREAMS,
    TEST_STREAMS,
    ConfirmedLabel,
    Lease,
    QueueItem,
    Stream,
)
from mekiki.review.selectors import audits_under_archived_labels, reserve_limits

# Above this number pages show "more than", so that the count stays fast: PostgreSQL then looks the labels of
# these images up instead of reading all labels.
COUNT_UP_TO = 1_000


def neutral_name(sha256: str) -> str:
    """Return the name that pages show for an image with a hidden file name."""
    return _("image %(hash)s") % {"hash": sha256[:8]}


def blind_items(dataset: Dataset) -> QuerySet[QueueItem]:
    """Return the waiting items that must be judged without seeing a prediction."""
    return QueueItem.objects.filter(dataset=dataset, state=QueueItem.State.WAITING, stream__in=BLIND_STREAMS)


def _hiding_items(dataset: Dataset) -> QuerySet[QueueItem]:
    """Return the items whose images hide their name, metadata, prediction and decisions.

    An image that measures a reviewer has a label, which everybody may see until the reviewer gets the image.
    From then on it looks the same as an image of the audit sample, until the answer can no longer be undone
    unseen. An image of a certificate's audit hides these facts for the same time after its answer.
    """
    leased = Lease.objects.filter(item=OuterRef("pk"), ended_at__isnull=True, expires_at__gt=Now())
    waiting, done = QueueItem.State.WAITING, QueueItem.State.DONE
    return QueueItem.objects.filter(
        Q(stream__in=[Stream.AUDIT, Stream.CERTIFY], state=waiting)
        | Q(Exists(leased), stream__in=TEST_STREAMS, state=waiting)
        | Q(
            stream__in=[*TEST_STREAMS, Stream.CERTIFY],
            state=done,
            finished_at__gt=Now() - AUDIT_UNDO_PERIOD,
        ),
        dataset=dataset,
    )


def reserve_condition(dataset: Dataset) -> Q:
    """Return the condition for images that belong to the audit reserve."""
    reserve = Q(audit_key__lt=dataset.audit_fraction)
    for last, share in reserve_limits(dataset):
        reserve &= ~Q(pk__lte=last, audit_key__gte=share)
    return reserve


def hidden_condition(dataset: Dataset) -> Q:
    """Return the condition for images that hide their name, metadata, prediction and decisions."""
    # Not equality: PostgreSQL would read all labels into a hash table for one page of images.
    judged = _judged(dataset).filter(image__gte=OuterRef("pk"), image__lte=OuterRef("pk"))
    return reserve_condition(dataset) & ~Q(Exists(judged)) | _waiting(dataset)


def on_page_condition(dataset: Dataset) -> Q:
    """Return the condition for images of pages of the grid review among which gold images may be.

    A gold image of a page hides its facts as an image of the audit sample does. All other images of the page
    hide them for the same time, because the difference would tell which image is gold. This is the time of
    the page, and AUDIT_UNDO_PERIOD after it was answered or left.
    """
    if not dataset.gold_share:
        return Q(pk__in=[])
    recent = Now() - AUDIT_UNDO_PERIOD
    leases = Lease.objects.filter(
        Q(ended_at__gt=recent) | Q(ended_at__isnull=True, expires_at__gt=recent),
        item__dataset=dataset,
        shown__on_page=True,
    )
    return Q(pk__in=leases.values("item__image"))


def is_on_page(image: Image) -> bool:
    """Return whether the image is on a page of the grid review among which gold images may be."""
    return Image.objects.filter(on_page_condition(image.dataset), pk=image.pk).exists()


def unshown_condition(dataset: Dataset) -> Q:
    """Return the condition for images whose facts no page shows: hidden images, and images of pages."""
    return hidden_condition(dataset) | on_page_condition(dataset)


def unshown_ids(dataset: Dataset, image_ids: Iterable[int]) -> set[int]:
    """Return the ids of the images whose facts no page shows."""
    return hidden_ids(dataset, image_ids, unshown_condition(dataset))


def _unjudged(dataset: Dataset) -> Q:
    return reserve_condition(dataset) & ~Q(Exists(_judged(dataset).filter(image=OuterRef("pk"))))


def _waiting(dataset: Dataset) -> Q:
    return Q(Exists(_hiding_items(dataset).filter(image=OuterRef("pk"))))


def _judged(dataset: Dataset) -> QuerySet[ConfirmedLabel]:
    """Return the confirmed labels of images that hide nothing.

    Images whose label or audit answer is archived are left out, because they are audited again. Images that
    were judged for a certificate only are left out too, because their turn in the audit sample still comes.
    """
    # An answer in the future was given before the clock was set back. Its grace period is treated as over.
    judged = ConfirmedLabel.objects.filter(dataset=dataset).exclude(stream=Stream.CERTIFY)
    judged = judged.exclude(audited_at__gt=Now() - AUDIT_UNDO_PERIOD, audited_at__lte=Now())
    archived = list(
        Label.objects.filter(dataset=dataset, archived_at__isnull=False).values_list("pk", flat=True)
    )
    if not archived:
        return judged
    return judged.exclude(label__in=archived).exclude(
        pk__in=audits_under_archived_labels(dataset).values("pk")
    )


def hidden_ids(dataset: Dataset, image_ids: Iterable[int], condition: Q | None = None) -> set[int]:
    """Return the ids of the images that hide their name, metadata, prediction and decisions.

    condition: another condition, or the result of `hidden_condition` if the caller has it already.
    """
    ids = list(image_ids)
    if not ids:
        return set()
    images = Image.objects.filter(dataset=dataset, pk__in=ids).filter(condition or hidden_condition(dataset))
    return set(images.values_list("pk", flat=True))


def hidden_count(dataset: Dataset) -> int:
    """Return the number of images whose facts no page shows, at most COUNT_UP_TO + 1."""
    images = Image.objects.filter(dataset=dataset).order_by()
    unjudged = images.filter(_unjudged(dataset)).values("pk")[: COUNT_UP_TO + 1].count()
    waiting = Q(pk__in=_hiding_items(dataset).values("image")) | on_page_condition(dataset)
    others = images.filter(waiting).exclude(_unjudged(dataset)).count()
    return min(unjudged + others, COUNT_UP_TO + 1)


def set_shown_attributes(dataset: Dataset, images: Iterable[Image]) -> None:
    """Set `hidden`, `shown_name` and `shown_metadata` on the images, with two or three queries.

    These attributes contain what a page may show.
    """
    rows = list(images)
    ids = unshown_ids(dataset, [image.pk for image in rows])
    for image in rows:
        is_hidden = image.pk in ids
        image.hidden = is_hidden
        image.shown_name = neutral_name(image.sha256) if is_hidden else image.name
        image.shown_metadata = {} if is_hidden else image.metadata
