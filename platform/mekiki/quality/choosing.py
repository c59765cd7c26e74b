"""The choice of a study's images: at random, or equal numbers for each label with a part of hard images."""

import random
from dataclasses import dataclass

from django.db.models import CharField, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import MD5, Cast, Concat

from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.selectors import active_labels
from mekiki.learning.models import Champion, Prediction
from mekiki.quality.models import Study
from mekiki.review.blinding import blind_items, reserve_condition
from mekiki.review.models import ConfirmedLabel, QueueItem, ReferenceImage, Stream

# A study is drawn from a random part of a dataset with more images, so that the choice stays fast.
MOST_CANDIDATES = 50_000


@dataclass(frozen=True)
class Choice:
    """An image of a study. `label` is the id of the label it was drawn for, None for a random choice."""

    image: int
    label: int | None = None
    near_boundary: bool = False


def in_audit_sample(dataset: Dataset) -> Q:
    """Return the condition for images of the audit sample, of the audit reserve, or that wait blind.

    A study shows its images to reviewers and to the admin, and an image of the audit sample must be new to
    its reviewer.
    """
    audited = ConfirmedLabel.objects.filter(dataset=dataset, image=OuterRef("pk"), stream=Stream.AUDIT)
    queued = QueueItem.objects.filter(dataset=dataset, image=OuterRef("pk"), stream=Stream.AUDIT)
    waiting = blind_items(dataset).filter(image=OuterRef("pk"))
    return reserve_condition(dataset) | Q(Exists(audited)) | Q(Exists(queued)) | Q(Exists(waiting))


def eligible_images(dataset: Dataset, reference: str) -> QuerySet[Image]:
    """Return the images that a study may show. With confirmed labels as reference, each has one.

    Reference images of labels are left out, because the guidelines show them beside their label.
    """
    images = Image.objects.filter(dataset=dataset).exclude(in_audit_sample(dataset)).order_by()
    images = images.filter(~Exists(ReferenceImage.objects.filter(image=OuterRef("pk"))))
    if reference == Study.Reference.CONFIRMED:
        labels = active_labels(dataset).values("pk")
        confirmed = ConfirmedLabel.objects.filter(image=OuterRef("pk"), label__in=labels)
        images = images.filter(Exists(confirmed))
    return images


def left_out_count(dataset: Dataset) -> int:
    """Return the number of images that studies leave out because of the audit sample."""
    images = Image.objects.filter(dataset=dataset).order_by()
    reserve = reserve_condition(dataset)
    # Two counts, each by an index: one condition for both would read every image.
    audited = ConfirmedLabel.objects.filter(dataset=dataset, stream=Stream.AUDIT).values("image")
    queued = QueueItem.objects.filter(dataset=dataset, stream=Stream.AUDIT).values("image")
    others = audited.union(queued, blind_items(dataset).values("image"))
    return images.filter(reserve).count() + images.filter(pk__in=others).exclude(reserve).count()


def _random_part(dataset: Dataset, seed: int) -> Q:
    """Return the condition for a random part of a large dataset, of about MOST_CANDIDATES images.

    Audit keys are uniform numbers that do not depend on the content of an image, and they have an index.
    """
    width = MOST_CANDIDATES / max(1, Image.objects.filter(dataset=dataset).count())
    least = dataset.audit_fraction
    if width >= 1 - least:
        return Q()
    start = least + random.Random(seed).random() * (1 - least - width)  # noqa: S311 - no secret
    return Q(audit_key__gte=start, audit_key__lt=start + width)


def choose_images(
    dataset: Dataset, *, method: str, count: int, boundary_percent: int, reference: str, seed: int
) -> list[Choice]:
    """Return up to `count` images. The same seed and the same data give the same images.

    A stratified choice takes turns between the labels: the confirmed label of an image, or the label that the
    head in use predicts. `boundary_percent` of its images have the smallest margins between the two most
    probable labels. A label without enough images leaves its turns to the others.
    """
    images = eligible_images(dataset, reference)
    if reference != Study.Reference.CONFIRMED:  # images with confirmed labels are few
        images = images.filter(_random_part(dataset, seed))
    if method == Study.Method.RANDOM:
        return [Choice(pk) for pk in _at_random(images, seed)[:count]]
    head = Champion.objects.filter(dataset=dataset).values_list("head_id", flat=True).first()
    hard_wanted = round(count * boundary_percent / 100) if head is not None else 0
    labels = list(active_labels(dataset).values_list("pk", flat=True))
    random.Random(seed).shuffle(labels)  # noqa: S311 - which labels get the images that cannot be divided equally
    chosen: dict[int, Choice] = {}
    hard = {}
    if head is not None and hard_wanted:
        hard = {label: _hardest(images, head, label, count) for label in labels}
    _take_turns(hard, chosen, hard_wanted, near_boundary=True)
    others = {label: _of_label(images, head, label, seed, count) for label in labels}
    _take_turns(others, chosen, count, near_boundary=False)
    return list(chosen.values())


def _at_random(images: QuerySet[Image], seed: int) -> QuerySet[Image, int]:
    """Return the ids in an order that the seed decides, whichever rows the database reads first."""
    key = Concat(Value(f"{seed}:"), Cast("pk", CharField()))
    return images.order_by(MD5(key)).values_list("pk", flat=True)


def _hardest(images: QuerySet[Image], head: int, label: int, count: int) -> list[int]:
    """Return images of a label with the smallest margins, the hardest first."""
    rows = Prediction.objects.filter(head_id=head, image__in=images.filter(_has_label(head, label)))
    return list(rows.order_by("margin", "image_id").values_list("image_id", flat=True)[: 2 * count])


def _of_label(images: QuerySet[Image], head: int | None, label: int, seed: int, count: int) -> list[int]:
    return list(_at_random(images.filter(_has_label(head, label)), seed)[: 2 * count])


def _has_label(head: int | None, label: int) -> Q:
    confirmed = ConfirmedLabel.objects.filter(image=OuterRef("pk"))
    condition = Q(Exists(confirmed.filter(label=label)))
    if head is not None:
        predicted = Prediction.objects.filter(head_id=head, image=OuterRef("pk"), label=label)
        condition |= Q(Exists(predicted)) & ~Q(Exists(confirmed))
    return condition


def _take_turns(
    by_label: dict[int, list[int]], chosen: dict[int, Choice], count: int, *, near_boundary: bool
) -> None:
    """Add images to `chosen` until it has `count`: the label with the fewest images gets the next one."""
    waiting = {label: iter(ids) for label, ids in by_label.items()}
    have = dict.fromkeys(by_label, 0)
    for choice in chosen.values():
        if choice.label in have:
            have[choice.label] += 1
    while waiting and len(chosen) < count:
        label = min(waiting, key=lambda one: have[one])
        image = next((pk for pk in waiting[label] if pk not in chosen), None)
        if image is None:
            del waiting[label]
        else:
            chosen[image] = Choice(image, label, near_boundary)
            have[label] += 1


def confirmed_label_ids(dataset: Dataset, image_ids: list[int]) -> dict[int, int]:
    """Return the ids of the confirmed labels of images, by image."""
    rows = ConfirmedLabel.objects.filter(dataset=dataset, image__in=image_ids)
    return dict(rows.values_list("image_id", "label_id"))
