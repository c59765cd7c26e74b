"""Near-duplicates in training and in the audit sample."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from django.db.models import F

from mekiki.datasets.models import Dataset, Image
from mekiki.learning.models import GroupedImage, Head
from mekiki.learning.near_duplicates import first_images, grouping_in_use
from mekiki.review.blinding import reserve_condition
from mekiki.review.selectors import ImageVotes


def with_groups(dataset: Dataset, training: Sequence[ImageVotes]) -> list[ImageVotes]:
    """Return a training set with the groups of near-duplicates of which it has several images."""
    first = first_images(dataset)
    count = Counter(first[votes.image] for votes in training if votes.image in first)
    return [
        replace(votes, near_group=first[votes.image])
        if votes.image in first and count[first[votes.image]] > 1
        else votes
        for votes in training
    ]


def without_near_audit(dataset: Dataset, training: Sequence[ImageVotes]) -> list[ImageVotes]:
    """Return a training set without near-duplicates of the audit reserve, if the dataset leaves them out.

    An image of the reserve that was retired into training is no audit image any more.
    """
    grouping = grouping_in_use(dataset)
    if grouping is None or not grouping.leave_out:
        return list(training)
    near = near_audit(dataset, training)
    return [votes for votes in training if votes.image not in near]


def near_audit(dataset: Dataset, training: Sequence[ImageVotes]) -> set[int]:
    """Return the images of a training set whose group has an image of the audit reserve."""
    grouping = grouping_in_use(dataset)
    if grouping is None:
        return set()
    trained = {votes.image for votes in training}
    rows = GroupedImage.objects.filter(grouping=grouping)
    in_groups = rows.filter(first__in=rows.exclude(first=F("image")).values("first"))
    reserve = Image.objects.filter(dataset=dataset).filter(reserve_condition(dataset))
    audited = in_groups.filter(image__in=reserve).values_list("image_id", "first_id")
    groups = {first for image, first in audited if image not in trained}
    if not groups:
        return set()
    first = first_images(dataset)
    return {image for image in trained if first.get(image) in groups}


def near_trained_images(head: Head, image_ids: Sequence[int]) -> set[int]:
    """Return the images of this list that have near-duplicates among the training images of a head."""
    first = first_images(head.dataset, image_ids)
    if not first:
        return set()
    trained = head.training_labels.values("image")
    grouping = grouping_in_use(head.dataset)
    rows = GroupedImage.objects.filter(grouping=grouping, first__in=set(first.values()), image__in=trained)
    groups = set(rows.values_list("first_id", flat=True))
    return {image for image, group in first.items() if group in groups}
