"""Queries of certificates and certified labels, and access to certificates on behalf of a user."""

from dataclasses import dataclass

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.http import Http404

from mekiki.accounts.models import Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset, Image
from mekiki.quality.models import Certificate, MachineLabel
from mekiki.review.models import ConfirmedLabel
from verification.certificates.protocol import Protocol

RUNNING_STATES = (Certificate.State.FREEZING, Certificate.State.AUDITING, Certificate.State.ACCEPTING)

# States in which the labels of a certificate are valid, if all of them were set (`accepted_at`).
LABEL_STATES = (Certificate.State.ACCEPTED, Certificate.State.SUSPENDED)
# States in which a label of a person for a candidate counts toward the limit of the protocol.
CANDIDATE_STATES = (Certificate.State.AUDITING, Certificate.State.PASSED, Certificate.State.ACCEPTING)


def certificate_for(user: User, slug: str, version: int, role: str = Role.VIEWER) -> Certificate:
    """Return a certificate of a dataset by its version.

    Raises Http404 or PermissionDenied as dataset_for does, and Http404 if there is no such version.
    """
    dataset = dataset_for(user, slug, role)
    rows = Certificate.objects.filter(dataset=dataset).select_related("job", "created_by", "head", "batch")
    certificate = rows.filter(version=version).first() if version < 2**31 else None
    if certificate is None:
        raise Http404
    certificate.dataset = dataset
    return certificate


def newest_certificates(dataset: Dataset, limit: int = 20) -> list[Certificate]:
    """Return the newest certificates of a dataset, newest first."""
    return list(Certificate.objects.filter(dataset=dataset)[:limit])


def running_certificate(dataset: Dataset) -> Certificate | None:
    """Return the certificate that is being frozen, audited or accepted, or None."""
    return Certificate.objects.filter(dataset=dataset, state__in=RUNNING_STATES).first()


def protocol_of(certificate: Certificate) -> Protocol:
    """Return the protocol of a certificate, as its columns hold it."""
    return Protocol.from_json({name: getattr(certificate, name) for name in Protocol.__dataclass_fields__})


def valid_machine_labels(dataset: Dataset) -> QuerySet[MachineLabel]:
    """Return the labels set by machine that are valid now. Everything else that needs them asks here.

    A certificate has valid labels from the moment when all of them are set until it is revoked: its statement
    is about all labels of the region, so a part of them is never valid. A suspended certificate sets no
    further labels, but keeps those that it has set, because its frozen predictions were tested. Images that a
    person has labelled are left out, and so are labels that are critical or archived now. Of a stream that
    has ended, the labels after the last good checkpoint are left out: no audit speaks for them.
    """
    checked = Q(certificate__stream__doubtful_from__isnull=True) | Q(
        stream_number__lt=F("certificate__stream__doubtful_from")
    )
    rows = MachineLabel.objects.filter(
        Q(stream_number=0) | checked,
        dataset=dataset,
        certificate__state__in=LABEL_STATES,
        certificate__accepted_at__isnull=False,
        label__critical=False,
        label__archived_at__isnull=True,
    )
    return rows.exclude(Exists(ConfirmedLabel.objects.filter(image=OuterRef("image"))))


def settled_image_ids(dataset: Dataset) -> set[int]:
    """Return the ids of the images that reviewers need not be asked about, except for an audit.

    These are the images with a valid certified label, and the candidates of a certificate between its freeze
    and the acceptance: a label of a person for a candidate counts toward the limit of the protocol.
    """
    certificate = Certificate.objects.filter(dataset=dataset, state__in=CANDIDATE_STATES).first()
    labelled = machine_labelled_ids(dataset)
    if certificate is None:
        return labelled
    candidates = certificate.images.filter(rank__gte=1)
    return labelled | set(candidates.values_list("image_id", flat=True))


def machine_labelled_ids(dataset: Dataset) -> set[int]:
    """Return the ids of the images with a valid certified label."""
    return set(valid_machine_labels(dataset).values_list("image_id", flat=True))


def machine_label_of(image: Image) -> MachineLabel | None:
    """Return the valid certified label of an image with its certificate, or None."""
    rows = valid_machine_labels(image.dataset).filter(image=image)
    return rows.select_related("label", "certificate").first()


def later_label_count(certificate: Certificate) -> int:
    """Return how many labels a certificate has set for images that were imported after its freeze."""
    return MachineLabel.objects.filter(certificate=certificate, stream_number__gt=0).count()


def attempts_before(certificate: Certificate) -> int:
    """Return how many certificates of the dataset were started before this one, with any result."""
    return Certificate.objects.filter(dataset=certificate.dataset_id, version__lt=certificate.version).count()


@dataclass(frozen=True)
class LabelCounts:
    """What became of the labels that a certificate set.

    stored: labels of the region and of later images. valid: those that are valid now. by_people: images that
    people labelled since. withdrawn: labels that are critical or archived now. in_doubt: labels of later
    images after the last good checkpoint.
    """

    stored: int
    valid: int
    by_people: int
    withdrawn: int
    in_doubt: int


def label_counts(certificate: Certificate) -> LabelCounts | None:
    """Return what became of the labels of a certificate, or None if it never had valid labels."""
    if certificate.accepted_at is None:
        return None
    rows = MachineLabel.objects.filter(certificate=certificate)
    labelled = Exists(ConfirmedLabel.objects.filter(image=OuterRef("image")))
    others = rows.exclude(labelled)
    withdrawn = Q(label__critical=True) | Q(label__archived_at__isnull=False)
    stored, valid = rows.count(), 0
    if certificate.state in LABEL_STATES:
        valid = valid_machine_labels(certificate.dataset).filter(certificate=certificate).count()
    of_people, gone = stored - others.count(), others.filter(withdrawn).count()
    doubt = certificate.state in LABEL_STATES
    return LabelCounts(stored, valid, of_people, gone, stored - valid - of_people - gone if doubt else 0)
