"""Reads of the labels that came with imported images. Nothing here counts them as answers of reviewers."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Exists, F, OuterRef, QuerySet

from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.review.blinding import reserve_condition, unshown_condition
from mekiki.review.models import (
    ConfirmedLabel,
    Decision,
    ExcludedImage,
    GoldImage,
    ImageTag,
    ImportedLabel,
    ImportedName,
    Lease,
    QueueItem,
    ReferenceImage,
    RequalificationQuestion,
    WhyPanel,
)
from mekiki.review.selectors import ImageVotes, active_decisions, is_excluded

_SHOWN_PAIRS = 20


def labels_to_train_on(dataset: Dataset, decided: Iterable[int] = ()) -> list[ImageVotes]:
    """Return the imported labels that a head may be trained on, by image id.

    `decided`: ids of images that are trained on by decisions of reviewers. An imported label is used if its
    import says so, a label of the schema stands for it, no model gave it, and no reviewer has decided about
    its image. The labels of the newest import of an image are used, unless they differ. Images of the audit
    reserve are never used: they measure the accuracy.
    """
    rows = (
        ImportedLabel.objects.filter(
            name__batch__dataset=dataset,
            name__batch__label_use=ImportBatch.LabelUse.TRAIN,
            name__label__archived_at__isnull=True,
            name__label__isnull=False,
            predicted=False,
        )
        .filter(~Exists(active_decisions(image=OuterRef("image"))), ~is_excluded("image"))
        .filter(image__in=Image.objects.filter(dataset=dataset).exclude(reserve_condition(dataset)))
        .order_by("image_id", "-name__batch_id", "pk")
        .values_list("image_id", "name__batch_id", "name__label_id", "pk")
    )
    known = set(decided)
    by_image: dict[int, tuple[int, set[int], int]] = {}  # image → (import, labels, row)
    for image, batch, label, pk in rows.iterator(chunk_size=5000):
        first = by_image.setdefault(image, (batch, set(), pk))
        if first[0] == batch:
            first[1].add(label)
    return [
        ImageVotes(image, next(iter(labels)), pk, imported=True)
        for image, (_batch, labels, pk) in by_image.items()
        if len(labels) == 1 and image not in known
    ]


def can_train_on_imported(dataset: Dataset) -> bool:
    """Return whether some imported label may be trained on."""
    is_used = ImportBatch.objects.filter(dataset=dataset, label_use=ImportBatch.LabelUse.TRAIN).exists()
    return is_used and bool(labels_to_train_on(dataset))


def imported_labels_of(image: Image) -> list[ImportedLabel]:
    """Return the imported labels of an image, the newest first. The caller checks that it hides nothing."""
    rows = ImportedLabel.objects.filter(image=image).select_related("name__label", "name__batch")
    return list(rows.order_by("-name__batch_id", "pk"))


def images_in_use(ids: list[int]) -> set[int]:
    """Return which of these images have decisions, are known answers or references, or are on a screen."""
    of = {"image__in": ids}
    now = Lease.objects.filter(item__image__in=ids, ended_at__isnull=True)
    return set().union(
        Decision.objects.filter(**of).values_list("image_id", flat=True),
        GoldImage.objects.filter(**of).values_list("image_id", flat=True),
        ReferenceImage.objects.filter(**of).values_list("image_id", flat=True),
        RequalificationQuestion.objects.filter(**of).values_list("image_id", flat=True),
        now.values_list("item__image_id", flat=True),
    )


def delete_reviews(ids: list[int]) -> None:
    """Delete the queue items of images without a decision, with leases, panels, tags and imported labels."""
    WhyPanel.objects.filter(image__in=ids).delete()
    ImageTag.objects.filter(image__in=ids).delete()
    ExcludedImage.objects.filter(image__in=ids).delete()
    ImportedLabel.objects.filter(image__in=ids).delete()
    for rows in (Lease.objects.filter(item__image__in=ids), QueueItem.objects.filter(image__in=ids)):
        rows._raw_delete(rows.db)  # type: ignore[attr-defined]


def delete_names(batch: ImportBatch) -> None:
    """Delete the labels that an import gave to images, after the import was taken back."""
    batch.label_names.all().delete()


def names_of(batch: ImportBatch) -> QuerySet[ImportedName]:
    """Return the names of an import's labels with their number of images, the most frequent first."""
    rows = batch.label_names.select_related("label").annotate(images=Count("labels__image", distinct=True))
    return rows.order_by("-images", "text")


@dataclass(frozen=True)
class Comparison:
    """How the labels of an import compare with the labels that reviewers gave the same images.

    pairs: (imported label, label of reviewers, images) of the labels that differ, the most frequent first.
    """

    images: int
    equal: int
    pairs: list[tuple[str, str, int]]

    @property
    def different(self) -> int:
        """Return how many images have another label by reviewers."""
        return self.images - self.equal


def comparison(batch: ImportBatch) -> Comparison:
    """Return the comparison of an import's labels with the reviewers' labels.

    Images that hide their label are left out. An image with several imported labels is counted once for each.
    Reviewed images were chosen because they are hard, so this is no accuracy of the source.
    """
    dataset = batch.dataset
    visible = Image.objects.filter(dataset=dataset).exclude(unshown_condition(dataset))
    rows = (
        ConfirmedLabel.objects.filter(
            dataset=dataset,
            image__imported_labels__name__batch=batch,
            image__imported_labels__name__label__isnull=False,
            image__in=visible,
        )
        .annotate(
            imported=F("image__imported_labels__name__label__name"),
            imported_id=F("image__imported_labels__name__label_id"),
        )
        .order_by()
        .values_list("imported_id", "imported", "label_id", "label__name")
        .annotate(n=Count("image_id", distinct=True))
    )
    total = equal = 0
    pairs = []
    for imported_id, imported, label_id, label, n in rows:
        total += n
        if imported_id == label_id:
            equal += n
        else:
            pairs.append((imported, label, n))
    pairs.sort(key=lambda pair: (-pair[2], pair[0], pair[1]))
    return Comparison(total, equal, pairs[:_SHOWN_PAIRS])
