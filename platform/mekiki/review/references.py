"""Reference images of labels as pages show them."""

from dataclasses import dataclass

from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.review.blinding import hidden_ids
from mekiki.review.models import ReferenceImage


@dataclass(frozen=True)
class Guide:
    """A label with its accepted and rejected reference images. Its guideline is a field of the label."""

    label: Label
    accepted: list[ReferenceImage]
    rejected: list[ReferenceImage]


def visible_references(dataset: Dataset) -> list[ReferenceImage]:
    """Return the reference images of the dataset's labels in use, without images that must be judged blind.

    An image can become blind again, because its audit is repeated. Then it is not shown as an example.
    """
    rows = list(
        ReferenceImage.objects.filter(label__dataset=dataset, label__archived_at__isnull=True).select_related(
            "label", "image"
        )
    )
    hidden = hidden_ids(dataset, {row.image_id for row in rows})
    return [row for row in rows if row.image_id not in hidden]


def references_of(image: Image) -> list[ReferenceImage]:
    """Return how an image is used as a reference, by the order of the labels."""
    rows = ReferenceImage.objects.filter(image=image, label__archived_at__isnull=True)
    return list(rows.select_related("label").order_by("label__position", "label_id"))


def has_guides(dataset: Dataset) -> bool:
    """Return whether any label in use has a guideline or a reference image."""
    labels = active_labels(dataset)
    return (
        labels.exclude(guideline="", guideline_texts={}).exists()
        or ReferenceImage.objects.filter(label__in=labels).exists()
    )


def guides_of(dataset: Dataset) -> list[Guide]:
    """Return one guide for each label in use, in the order of the labels."""
    references = visible_references(dataset)
    return [
        Guide(
            label,
            [row for row in references if row.label_id == label.pk and row.accepted],
            [row for row in references if row.label_id == label.pk and not row.accepted],
        )
        for label in active_labels(dataset)
    ]
