"""The acts on label sets: freeze, retry, and record a download."""

from typing import BinaryIO

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role, role_in
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.checked_files import open_checked
from mekiki.datasets.models import Dataset
from mekiki.exports import selectors, snapshot
from mekiki.exports.machine_facts import no_certificate, stopped_sentences
from mekiki.exports.models import LabelSet
from mekiki.exports.view_images import valid_query, view_images
from mekiki.jobs import services as jobs
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import FreezePayload
from mekiki.quality.models import Certificate
from mekiki.review.models import SavedView


@transaction.atomic
def freeze(
    *,
    dataset: Dataset,
    user: User,
    note: str = "",
    include_images: bool = False,
    machine_threshold: float | None = None,
    certified: bool = False,
    view: SavedView | None = None,
    query: str = "",
) -> LabelSet:
    """Request the next label set. A job writes it with the labels at the start of the job.

    With `certified`, the set also holds the labels that the certificate in use has set. `machine_threshold`
    is in (0, 1]. With it, the set also holds predictions of the champion at or above this calibrated
    confidence, for images that nobody has decided and labels that are not critical, and says that no
    certificate covers them. With `view`, it holds only images of this saved view, with `query` only those of
    a filter or a selection of the gallery. Excluded images are never in a label set. Raises PermissionDenied
    if the user is no admin of the dataset. Raises ValidationError if there is nothing to export, no
    certificate in use, no calibrated head, or if a threshold or note is out of bounds, or if a filter has a
    value that does not exist any more.
    """
    require_role(user, dataset, Role.ADMIN)
    # The lock ensures that each version number is used once.
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    certificate = _certificate_for(dataset) if certified else None
    if view is not None and query:
        raise ValidationError(_("Choose a saved view or images of the gallery, not both."))
    query = view.query if view is not None else query and valid_query(dataset, user, query)
    if query:
        view_images(dataset, user, query)
    if machine_threshold is not None:
        if certified:
            raise ValidationError(
                _("Choose certified labels or uncertified predictions. A label set holds one of them.")
            )
        if not 0 < machine_threshold <= 1:
            raise ValidationError(_("The threshold is a confidence above 0 and at most 1."))
        head = selectors.calibrated_champion(dataset)
        if head is None:
            raise ValidationError(snapshot.no_calibrated_head())
    if certificate is None and not (
        selectors.human_label_count(dataset)
        or (machine_threshold is not None and selectors.machine_label_count(dataset, machine_threshold))
    ):
        raise ValidationError(snapshot.nothing_to_export())
    newest = LabelSet.objects.filter(dataset=dataset).aggregate(newest=Max("version"))["newest"] or 0
    label_set = LabelSet(
        dataset=dataset,
        version=newest + 1,
        note=note.strip(),
        include_images=include_images,
        machine_threshold=machine_threshold,
        certificate=certificate,
        view_name=view.name if view is not None else "",
        view_query=query,
        created_by=user,
    )
    label_set.clean_fields(exclude={f.name for f in LabelSet._meta.fields} - {"note"})
    label_set.save()
    record(
        kind="label_set.requested",
        actor=user,
        dataset=dataset,
        target=label_set,
        data={
            "version": label_set.version,
            "note": label_set.note,
            "include_images": include_images,
            "machine_threshold": machine_threshold,
            # Keys that older events do not have.
            **({"certificate": certificate.version} if certificate is not None else {}),
            **({"view": view.name} if view is not None else {}),
            **({"query": query} if query else {}),
        },
    )
    _enqueue(label_set, user)
    return label_set


def _certificate_for(dataset: Dataset) -> Certificate:
    """Return the certificate whose labels are in use. Raises ValidationError if there is none."""
    certificates = selectors.certificates_with_labels(dataset)
    certificate = selectors.certificate_in_use(certificates)
    if certificate is None:
        raise ValidationError([*stopped_sentences(certificates), no_certificate()])
    return certificate


def _enqueue(label_set: LabelSet, user: User) -> Job:
    job = jobs.enqueue(
        kind=Kind.FREEZE,
        dataset=label_set.dataset,
        key=f"freeze:{label_set.pk}",
        payload=FreezePayload(label_set=label_set.pk).as_json(),
        user=user,
    )
    label_set.job = job
    label_set.save(update_fields=["job"])
    return job


@transaction.atomic
def retry(*, label_set: LabelSet, user: User) -> LabelSet:
    """Request a label set again after its job failed or was cancelled. Fixed entries stay as they are.

    Raises PermissionDenied if the user is no admin of the dataset, and ValidationError if the set is frozen.
    """
    require_role(user, label_set.dataset, Role.ADMIN)
    label_set = (
        LabelSet.objects.select_for_update(of=("self",)).select_related("dataset").get(pk=label_set.pk)
    )
    if label_set.state == LabelSet.State.FROZEN:
        raise ValidationError(_("This label set is frozen already."))
    _enqueue(label_set, user)
    return label_set


def open_file(label_set: LabelSet) -> BinaryIO:
    """Return the file of a frozen label set, open for reading, after a check of its hash.

    Raises FileNotFoundError if it is missing. Raises ChangedFileError and records an event if it has another
    hash.
    """
    return open_checked(
        name=label_set.file,
        sha256=label_set.sha256,
        dataset=label_set.dataset,
        kind="label_set.file_changed",
        object_id=f"v{label_set.version}",
    )


def record_download(*, label_set: LabelSet, user: User) -> None:
    """Record who downloads a label set, and its number of predictions for the audit reserve.

    Raises PermissionDenied for reviewers while the set holds predictions for images that they may have to
    judge blind.
    """
    check_download(label_set=label_set, user=user)
    record(
        kind="label_set.downloaded",
        actor=user,
        dataset=label_set.dataset,
        target=label_set,
        data={
            "version": label_set.version,
            "sha256": label_set.sha256,
            "reserve_labels": label_set.reserve_labels,
        },
    )


def check_download(*, label_set: LabelSet, user: User) -> None:
    """Raise PermissionDenied if the user must not read the label set."""
    require_role(user, label_set.dataset, Role.VIEWER)
    if selectors.is_closed_to(role_in(user, label_set.dataset), label_set):
        raise PermissionDenied(
            _(
                "This label set holds predictions for images of the audit sample that have not been judged "
                "yet. Reviewers cannot download it, because they may be asked to judge these images without "
                "seeing a prediction. The label set is kept; an admin or a viewer of the dataset can "
                "download it."
            )
        )
