"""Who set the labels of a dataset: a person, a certificate, or nobody. The numbers, and a filter for each."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.selectors import image_count
from mekiki.quality.certificates import LABEL_STATES, valid_machine_labels
from mekiki.quality.models import Certificate, MachineLabel
from mekiki.review.models import ConfirmedLabel

PERSON, NOBODY = "person", "nobody"
_CERTIFICATE = "certificate-"


@dataclass(frozen=True)
class LabelSources:
    """How many images of a dataset have a label of a person, a valid certified label, or neither."""

    images: int = 0
    people: int = 0
    machine: int = 0

    @property
    def open(self) -> int:
        """Return the number of images without a label."""
        return max(0, self.images - self.people - self.machine)


def certified_counts(datasets: Iterable[Dataset]) -> dict[int, int]:
    """Return dataset id → number of valid certified labels, with two queries for any number of datasets."""
    by_id = {dataset.pk: dataset for dataset in datasets}
    holders = Certificate.objects.filter(dataset__in=list(by_id), state__in=LABEL_STATES)
    counts = [
        valid_machine_labels(by_id[pk]).order_by().values_list("dataset_id").annotate(n=Count("image_id"))
        for pk in sorted(set(holders.values_list("dataset_id", flat=True)))
    ]
    if not counts:
        return {}
    first, *others = counts
    return dict(first.union(*others, all=True) if others else first)


def label_sources_of(dataset: Dataset) -> LabelSources:
    """Return who set the labels of one dataset."""
    return LabelSources(
        image_count(dataset),
        ConfirmedLabel.objects.filter(dataset=dataset).count(),
        certified_counts([dataset]).get(dataset.pk, 0),
    )


def certificates_with_labels(dataset: Dataset) -> list[Certificate]:
    """Return the certificates whose labels can be valid, newest first."""
    return list(Certificate.objects.filter(dataset=dataset, state__in=LABEL_STATES).order_by("-version"))


def machine_labels_of(dataset: Dataset, image_ids: list[int]) -> dict[int, MachineLabel]:
    """Return the valid certified labels of some images with their certificates, by image id."""
    rows = valid_machine_labels(dataset).filter(image__in=image_ids)
    return {row.image_id: row for row in rows.select_related("label", "certificate")}


def machine_label_history(image: Image) -> list[MachineLabel]:
    """Return the labels that certificates have set for an image, valid or not, the newest first."""
    rows = MachineLabel.objects.filter(image=image).select_related("label", "certificate__head")
    return list(rows.defer("certificate__head__weights").order_by("-certificate__version"))


def label_source_choices(dataset: Dataset) -> list[tuple[str, object]]:
    """Return the choices of the gallery's filter for who set the label."""
    certificates = [
        (f"{_CERTIFICATE}{certificate.version}", _("certificate %(n)d") % {"n": certificate.version})
        for certificate in certificates_with_labels(dataset)
    ]
    return [(PERSON, gettext_lazy("a person")), *certificates, (NOBODY, gettext_lazy("nobody"))]


def images_with_label_set_by(images: QuerySet[Image], dataset: Dataset, source: str) -> QuerySet[Image]:
    """Return the images whose label was set by a source of label_source_choices; none for another source."""
    by_person = Exists(ConfirmedLabel.objects.filter(image=OuterRef("pk")))
    if source == PERSON:
        return images.filter(by_person)
    if source == NOBODY:
        images = images.filter(~by_person)
        if not certificates_with_labels(dataset):
            return images
        # A scalar subquery is an index lookup for each image, with any statistics. For NOT EXISTS, PostgreSQL
        # compared each image with all labels of a certificate that had just set them: minutes for one page.
        label = valid_machine_labels(dataset).filter(image=OuterRef("pk")).values("certificate_id")[:1]
        return images.alias(certified_by=Subquery(label)).filter(certified_by__isnull=True)
    version = source.removeprefix(_CERTIFICATE)
    certificate = Certificate.objects.filter(
        dataset=dataset, state__in=LABEL_STATES, version=int(version) if version.isdecimal() else 0
    ).first()
    if certificate is None:
        return images.none()
    # The id of the certificate is a constant, so that the index of its labels is used.
    labels = valid_machine_labels(dataset).filter(certificate_id=certificate.pk, image=OuterRef("pk"))
    return images.filter(Exists(labels))
