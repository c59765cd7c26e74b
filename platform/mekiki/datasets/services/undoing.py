"""Services that take a whole import back: its images and their files are deleted, its report stays."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets import storage
from mekiki.datasets.hooks import delete_dependents, kept_images, run_undo_hooks
from mekiki.datasets.models import Image, ImageName, ImportBatch, MetadataValue, SeenFile
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import UndoImportPayload
from mekiki.jobs.services import enqueue

_CHUNK = 500


@transaction.atomic
def request_undo(*, batch: ImportBatch, user: User) -> Job:
    """Start the job that deletes the images of an import.

    Metadata that the import gave to images of earlier imports stays. Raises PermissionDenied unless the user
    is an admin of the dataset. Raises ValidationError if the import is not finished or was taken back before,
    and if one of its images has a decision, is a training image, or belongs to a certificate, a study, a
    label set, the gold images or the reference images.
    """
    require_role(user, batch.dataset, Role.ADMIN)
    row = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if row.finished_at is None or row.undone_at is not None:
        raise ValidationError(
            _("Only a finished import can be taken back, and only once. Nothing was changed.")
        )
    kept = sum(len(kept_images(ids)) for ids in _chunks(row))
    if kept:
        raise ValidationError(
            ngettext(
                "%(count)d image of this import is in use: it has a decision, or a head, a certificate, "
                "a study, a label set or the gold images need it. Nothing was deleted.",
                "%(count)d images of this import are in use: they have a decision, or a head, a "
                "certificate, a study, a label set or the gold images need them. Nothing was deleted.",
                kept,
            )
            % {"count": kept},
            code="images_in_use",
        )
    row.undone_at = clock.now()
    row.save(update_fields=["undone_at"])
    images = Image.objects.filter(batch=row).count()
    record(
        kind="import.undo_requested", actor=user, dataset=batch.dataset, target=row, data={"images": images}
    )
    return enqueue(
        kind=Kind.UNDO_IMPORT,
        dataset=batch.dataset,
        key=f"{Kind.UNDO_IMPORT}:{row.pk}",
        payload=UndoImportPayload(batch=row.pk).as_json(),
        user=user,
    )


def run_undo(
    *, batch: ImportBatch, user: User | None, progress: Callable[[int, int], None]
) -> dict[str, int]:
    """Delete the images of an import that was taken back. Return how many were deleted and kept.

    A worker calls it; the permission was checked when the job was requested. It may be repeated. An image
    that came into use meanwhile is kept.
    """
    total = Image.objects.filter(batch=batch).count()
    deleted = 0
    kept: set[int] = set()
    progress(0, total)
    for ids in _chunks(batch):
        with transaction.atomic():
            rows = Image.objects.select_for_update(of=("self",)).filter(pk__in=ids, batch=batch)
            images = {image.pk: image for image in rows.only("dataset_id", "sha256", "batch_id")}
            in_use = kept_images(list(images))
            kept |= in_use
            for pk in in_use:
                del images[pk]
            gone = _delete(list(images.values()))
            kept |= {image.pk for image in images.values()} - {image.pk for image in gone}
            transaction.on_commit(partial(_delete_files, gone))
        deleted += len(gone)
        progress(deleted + len(kept), total)
    with transaction.atomic():
        ImageName.objects.filter(batch=batch).delete()
        SeenFile.objects.filter(batch=batch).delete()  # so that the files may be imported again
        run_undo_hooks(batch)
        result = {"deleted": deleted, "kept": len(kept)}
        record(kind="import.undone", actor=user, dataset=batch.dataset, target=batch, data=dict(result))
    return result


def _chunks(batch: ImportBatch) -> Iterator[list[int]]:
    """Yield the ids of the images of an import in ascending order, a few hundred at a time."""
    images = Image.objects.filter(batch=batch).order_by("pk")
    after = 0
    while ids := list(images.filter(pk__gt=after).values_list("pk", flat=True)[:_CHUNK]):
        after = ids[-1]
        yield ids


def _delete(images: list[Image]) -> list[Image]:
    """Delete images with all that was derived from them, and return those that could be deleted."""
    try:
        with transaction.atomic():
            _delete_rows([image.pk for image in images])
        return images
    except IntegrityError:
        gone = []
        for image in images:
            with contextlib.suppress(IntegrityError), transaction.atomic():
                _delete_rows([image.pk])
                gone.append(image)
        return gone


def _delete_rows(ids: list[int]) -> None:
    """Delete rows of images. Raises IntegrityError if another table still refers to one of them.

    Not by the ORM: it would delete in every table that refers to images, also in those that refuse it.
    """
    delete_dependents(ids)
    ImageName.objects.filter(image__in=ids).delete()
    MetadataValue.objects.filter(image__in=ids).delete()
    images = Image.objects.filter(pk__in=ids)
    images._raw_delete(images.db)  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _delete_files(images: list[Image]) -> None:
    for image in images:
        place = (image.dataset_id, image.sha256)
        if Image.objects.filter(dataset=image.dataset_id, sha256=image.sha256).exists():
            continue  # imported again meanwhile
        for name in (storage.original_name(*place), storage.thumb_name(*place), storage.display_name(*place)):
            with contextlib.suppress(OSError):
                default_storage.delete(name)
