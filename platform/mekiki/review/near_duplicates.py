"""Near-duplicates in training and in the audit sample, and what the page of them may show."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from django.db.models import Count, Exists, F, OuterRef, Q, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset, Image
from mekiki.learning.models import GroupedImage, Head, NearDuplicateGrouping, NearDuplicateSurvey
from mekiki.learning.near_duplicates import SurveyLevel, first_images, grouping_in_use, levels_of
from mekiki.review.blinding import reserve_condition, set_shown_attributes
from mekiki.review.selectors import ImageVotes, is_excluded

PAIRS_SHOWN = 3  # on each side of a threshold
GROUPS_SHOWN = 24
IMAGES_SHOWN = 12  # of a group
IMAGES_READ = 60  # of a group; images that hide their facts are not shown
# The choices of the filter of images; `near_condition` defines them.
NEAR_CHOICES = [
    ("", _("any")),
    ("group", _("in a group")),
    ("others", _("all but one of each group")),
    ("alone", _("in no group")),
]


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


def near_condition(dataset: Dataset, choice: str) -> Q:
    """Return the condition for images by their near-duplicates.

    choice: "group" (a group has the image and others), "others" (an earlier image of its group is outside the
    audit reserve and not excluded, so one image of each group is kept) or "alone" (no group has the image).
    """
    grouping = grouping_in_use(dataset)
    if grouping is None:
        return Q() if choice == "alone" else Q(pk__in=[])
    rows = GroupedImage.objects.filter(grouping=grouping)
    own = rows.filter(image=OuterRef("pk"))
    if choice == "others":
        kept = Image.objects.filter(~is_excluded("pk"), dataset=dataset).exclude(reserve_condition(dataset))
        earlier = rows.filter(first=OuterRef("first"), image__lt=OuterRef("image"), image__in=kept)
        return Q(Exists(own.filter(Exists(earlier))))
    several = rows.filter(first=OuterRef("first")).exclude(image=OuterRef("image"))
    in_group = Q(Exists(own.filter(Exists(several))))
    return in_group if choice == "group" else ~in_group


@dataclass(frozen=True)
class ExamplePair:
    """Two images with the cosine of their embeddings."""

    one: Image
    other: Image
    cosine: float


@dataclass(frozen=True)
class ShownLevel:
    """A level of a survey with pairs of images that hide nothing.

    `above` just reach the threshold, `below` just do not.
    """

    level: SurveyLevel
    above: list[ExamplePair]
    below: list[ExamplePair]


def shown_levels(survey: NearDuplicateSurvey) -> list[ShownLevel]:
    """Return the levels of a survey with a few example pairs.

    A pair is left out if one of its images hides its facts: the label of the other image would tell its
    label.
    """
    levels = levels_of(survey)
    pairs = [pair for level in levels for pair in (*level.above, *level.below)]
    images = _visible_images(survey.dataset, {pk for one, other, _cosine in pairs for pk in (one, other)})

    def shown(rows: list[tuple[int, int, float]]) -> list[ExamplePair]:
        visible = [row for row in rows if row[0] in images and row[1] in images]
        return [
            ExamplePair(images[other], images[one], cosine) for one, other, cosine in visible[:PAIRS_SHOWN]
        ]

    return [ShownLevel(level, shown(level.above), shown(level.below)) for level in levels]


def _visible_images(dataset: Dataset, ids: Iterable[int]) -> dict[int, Image]:
    """Return the images of these ids that hide nothing, with the attributes of `set_shown_attributes`."""
    images = list(Image.objects.filter(dataset=dataset, pk__in=list(ids)))
    set_shown_attributes(dataset, images)
    return {image.pk: image for image in images if not image.hidden}


@dataclass(frozen=True)
class ShownGroup:
    """A group of near-duplicates. `images` are some of its images that hide nothing, in the order of import.

    size: all images of the group. hidden: images that hide their facts, among the first ones. more: further
    images that are not shown.
    """

    first: int
    size: int
    images: list[Image]
    hidden: int

    @property
    def more(self) -> int:
        return self.size - self.hidden - len(self.images)


def page_of_groups(grouping: NearDuplicateGrouping, after: int = 0) -> tuple[list[ShownGroup], int | None]:
    """Return a page of groups in the order of import, and the key of the next page or None."""
    rows = GroupedImage.objects.filter(grouping=grouping)
    others = rows.filter(first__gt=after).exclude(first=F("image")).order_by("first_id")
    firsts = list(others.values_list("first_id", flat=True).distinct()[: GROUPS_SHOWN + 1])
    page = firsts[:GROUPS_SHOWN]
    of_page = rows.filter(first__in=page).order_by()
    sizes = dict(of_page.values_list("first_id").annotate(n=Count("image_id")))
    place = Window(RowNumber(), partition_by="first_id", order_by="image_id")
    read = of_page.annotate(place=place).filter(place__lte=IMAGES_READ).order_by("place")
    members: dict[int, list[int]] = {first: [] for first in page}
    for image, first in read.values_list("image_id", "first_id"):
        members[first].append(image)
    visible = _visible_images(grouping.dataset, [pk for ids in members.values() for pk in ids])
    groups = []
    for first, ids in members.items():
        shown = [visible[pk] for pk in ids if pk in visible]
        groups.append(ShownGroup(first, sizes[first], shown[:IMAGES_SHOWN], len(ids) - len(shown)))
    return groups, page[-1] if len(firsts) > GROUPS_SHOWN else None
