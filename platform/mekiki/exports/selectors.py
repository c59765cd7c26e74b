"""Queries of the exports."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.fields.json import KeyTransform

from mekiki.accounts.models import Role
from mekiki.audit.keys import current_key
from mekiki.config.keyset import page_by
from mekiki.datasets.models import Dataset, Image
from mekiki.exports.models import LabelSet, LabelSetEntry
from mekiki.learning.models import Head, Prediction
from mekiki.learning.selectors import champion
from mekiki.quality.models import Certificate, CertificateImage
from mekiki.review.blinding import blind_items, hidden_condition
from mekiki.review.models import ConfirmedLabel
from mekiki.review.selectors import active_decisions, is_excluded, without_tests
from verification import signing

PAGE = 25


def images_of_label_sets(ids: list[int]) -> set[int]:
    """Return which of these images belong to a label set."""
    rows = LabelSetEntry.objects.filter(image_id__in=ids)
    return set(rows.values_list("image_id", flat=True))


def label_sets(dataset: Dataset, *, before: int | None = None) -> tuple[list[LabelSet], int | None]:
    """Return a page of the dataset's label sets, newest first, and the version where the next page starts.

    The version is passed as `before`. It is None on the last page.
    """
    rows = (
        LabelSet.objects.filter(dataset=dataset)
        .select_related("job", "created_by", "certificate")
        .defer("snapshot")
    )
    # The whole snapshot is large, because it holds the guidelines of all labels.
    rows = rows.annotate(
        accuracy=KeyTransform("accuracy", "snapshot"),
        once_critical=KeyTransform("once_critical", "snapshot"),
        machine_by_label=KeyTransform("machine_by_label", "snapshot"),
        machine=KeyTransform("machine", "snapshot"),
        view=KeyTransform("view", "snapshot"),
        excluded=KeyTransform("excluded", "snapshot"),
    )
    return page_by(rows, "version", PAGE, after=before, descending=True)


def human_label_count(dataset: Dataset) -> int:
    """Return the number of images with a confirmed label that are not excluded."""
    return ConfirmedLabel.objects.filter(~is_excluded("image"), dataset=dataset).count()


def calibrated_champion(dataset: Dataset) -> Head | None:
    """Return the champion if its confidences are calibrated, else None."""
    head = champion(dataset)
    return head if head is not None and head.calibrated else None


def machine_label_count(dataset: Dataset, threshold: float) -> int:
    """Return the number of labels that a machine would set at this threshold now.

    The result is 0 if the champion is not calibrated.
    """
    head = calibrated_champion(dataset)
    if head is None:
        return 0
    decided = without_tests(active_decisions(image=OuterRef("image")))
    blind = blind_items(dataset).filter(image=OuterRef("image"))
    return (
        Prediction.objects.filter(
            head=head, confidence__gte=threshold, label__critical=False, label__archived_at__isnull=True
        )
        .filter(~Exists(decided), ~Exists(blind), ~is_excluded("image"))
        .count()
    )


def certificates_with_labels(dataset: Dataset) -> list[Certificate]:
    """Return the newest certificates that have set labels, newest first. Some of them may be stopped."""
    rows = Certificate.objects.filter(dataset=dataset, accepted_at__isnull=False)
    return list(rows.defer("seed").order_by("-version")[:20])


def certificate_in_use(certificates: Iterable[Certificate]) -> Certificate | None:
    """Return the first certificate whose labels are in use, or None."""
    return next((one for one in certificates if one.state == Certificate.State.ACCEPTED), None)


def hidden_machine_labels(label_set: LabelSet) -> QuerySet[Image]:
    """Return the images with a prediction in this set that nobody may see yet (review.blinding).

    With certified labels, the set holds the predictions of the whole pool of the certificate.
    """
    images = Image.objects.filter(dataset_id=label_set.dataset_id).filter(hidden_condition(label_set.dataset))
    if label_set.certificate_id is not None:
        pool = CertificateImage.objects.filter(certificate=label_set.certificate_id)
        return images.filter(pk__in=pool.values("image_id"))
    entries = LabelSetEntry.objects.filter(label_set=label_set, head_id__isnull=False)
    return images.filter(pk__in=entries.values("image_id"))


def is_closed_to(role: str | None, label_set: LabelSet) -> bool:
    """Return whether this role must not read the label set.

    Reviewers must not read predictions for images that they may have to judge blind.
    """
    return (
        role == Role.REVIEWER and bool(label_set.machine_labels) and hidden_machine_labels(label_set).exists()
    )


def key_fingerprint() -> str:
    """Return the fingerprint of this platform's signing key, or "" if there is no key."""
    key = current_key()
    return signing.grouped(key.fingerprint) if key else ""
