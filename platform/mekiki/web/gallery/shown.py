"""What pages of the gallery show of images: labels, and names and metadata unless an image hides them."""

from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.quality.label_sources import machine_labels_of
from mekiki.review import blinding
from mekiki.review.models import ConfirmedLabel, ExcludedImage


def attach_labels(dataset: Dataset, images: list[Image]) -> None:
    """Give each image `.predicted_label`, `.confirmed`, `.certified` and the attributes of `blinding`.

    `.excluded_because` is the reason of an exclusion, or "". The number of queries does not depend on the
    number of images.
    """
    ids = [image.pk for image in images]
    names = {label.pk: label for label in Label.objects.filter(dataset=dataset)}
    confirmed = dict(ConfirmedLabel.objects.filter(image__in=ids).values_list("image_id", "label_id"))
    certified = machine_labels_of(dataset, ids)
    reasons = dict(ExcludedImage.objects.filter(image__in=ids).values_list("image_id", "act__reason"))
    blinding.set_shown_attributes(dataset, images)
    for image in images:
        seen = not image.hidden
        image.predicted_label = names.get(image.predicted) if seen else None  # type: ignore[attr-defined]
        image.confirmed = (  # type: ignore[attr-defined]
            names.get(confirmed.get(image.pk, 0)) if seen else None
        )
        image.excluded_because = reasons.get(image.pk, "") if seen else ""  # type: ignore[attr-defined]
        image.certified = certified.get(image.pk) if seen else None  # type: ignore[attr-defined]
