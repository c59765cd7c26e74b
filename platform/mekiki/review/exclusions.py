"""Images that an admin has excluded: they are neither queued, trained on nor exported."""

from django.db.models import Exists, OuterRef, Q, QuerySet

from mekiki.datasets.models import Dataset, Image
from mekiki.review.blinding import reserve_condition
from mekiki.review.models import ConfirmedLabel, ExcludedImage, Stream


def excluded_images(dataset: Dataset) -> QuerySet[ExcludedImage]:
    """Return the excluded images of a dataset."""
    return ExcludedImage.objects.filter(image__dataset=dataset)


def excluded_count(dataset: Dataset) -> int:
    """Return the number of excluded images of a dataset."""
    return excluded_images(dataset).count()


def audited_ids(dataset: Dataset, image_ids: list[int]) -> set[int]:
    """Return which of these images belong to the audit reserve or to the audit sample.

    They cannot be excluded: the sample would not be random any more.
    """
    sample = ConfirmedLabel.objects.filter(image=OuterRef("pk"), stream=Stream.AUDIT, in_training=False)
    images = Image.objects.filter(dataset=dataset, pk__in=image_ids)
    return set(images.filter(reserve_condition(dataset) | Q(Exists(sample))).values_list("pk", flat=True))


def unqueued_ids(dataset: Dataset) -> set[int]:
    """Return the ids of excluded images that must not be queued.

    An image that belongs to the audit reserve since the share was raised is audited all the same.
    """
    images = Image.objects.filter(dataset=dataset, exclusion__isnull=False)
    return set(images.exclude(reserve_condition(dataset)).values_list("pk", flat=True))
