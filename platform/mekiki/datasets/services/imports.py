"""Services that start and run an import. A worker calls run_import."""

import shutil
from collections.abc import Callable
from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.config.regular_files import kind_of
from mekiki.datasets.importing import pipeline
from mekiki.datasets.importing.entries import Folder, Source, Upload
from mekiki.datasets.importing.folders import from_location, to_location
from mekiki.datasets.importing.report import Report
from mekiki.datasets.messages import KINDS_OF_FILE
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.datasets.problems import LIMIT_CODES, ProblemError
from mekiki.datasets.selectors import outcome_counts
from mekiki.datasets.services.uploads import enqueue_import
from mekiki.datasets.services.windows import rebuild_images_of_changed_cameras
from mekiki.jobs.in_hand import ItemsInHand
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import enqueue


def import_folder(*, dataset: Dataset, path: str | Path, user: User | None, every_page: bool = False) -> Job:
    """Import a folder, a zip or a single file from the server's disk. The worker must be able to read it.

    `every_page`: every page of a TIFF becomes an image, not only the largest. `user` is None on the command
    line. Raises PermissionDenied unless the user is an admin of the dataset. Raises ValidationError if the
    path does not exist, or is neither a file nor a folder.
    """
    if user is not None:
        require_role(user, dataset, Role.ADMIN)
    place = Path(path).expanduser().absolute()
    shown = {"path": Folder(place).shown_path}
    try:
        mode = place.stat().st_mode
    except (OSError, ValueError):
        raise ValidationError(_("There is nothing at %(path)s."), params=shown) from None
    if (kind := kind_of(mode)) not in {"", "folder"}:
        raise ValidationError(
            _(
                "%(path)s is not a file but a %(kind)s. Nothing was imported. Name a folder, a zip or an "
                "image."
            ),
            params={**shown, "kind": KINDS_OF_FILE.render(kind)},
        )
    with transaction.atomic():
        batch = ImportBatch.objects.create(
            dataset=dataset,
            source=ImportBatch.Source.FOLDER,
            location=to_location(place),
            created_by=user,
            every_page=every_page,
        )
        return enqueue_import(batch=batch, user=user)


def examined_files_of(batch: ImportBatch) -> ItemsInHand:
    """Return the record of the files that a worker is examining, and of files that killed workers."""
    return ItemsInHand(f"import {batch.pk}")


def run_import(
    *, batch: ImportBatch, progress: Callable[[int, int | None], None], hand: ItemsInHand | None = None
) -> ImportBatch:
    """Store the files of a batch. It may be repeated after a kill, and run in two workers at once.

    `hand`: the record of files that killed an earlier worker (see hand_of).

    `progress(done, total)` is called every few dozen files. An exception that it raises stops the import, and
    a later run resumes where it stopped. At the end the event `images.imported` is recorded, and a job is
    started that encodes the new images.
    """
    batch = ImportBatch.objects.select_related("dataset", "created_by").get(pk=batch.pk)
    if batch.finished_at is None:
        source: Source
        if batch.source == ImportBatch.Source.UPLOAD:
            source = Upload(Path(batch.location))
        else:
            source = Folder(from_location(batch.location))
        try:
            counts = pipeline.store_all(batch, source, progress, hand or examined_files_of(batch))
        except pipeline.AlreadyFinishedError:
            batch = ImportBatch.objects.filter(pk=batch.pk).first() or batch
        else:
            batch = _close(batch, counts)
    if batch.source == ImportBatch.Source.UPLOAD and batch.location:
        shutil.rmtree(batch.location, ignore_errors=True)
        ImportBatch.objects.filter(pk=batch.pk).update(waiting_bytes=0)
    return batch


@transaction.atomic
def _close(batch: ImportBatch, counts: pipeline.Counts) -> ImportBatch:
    """Write the counts of the import, once."""
    row = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if row.finished_at is not None:
        return row
    rejected = counts.rejected
    if not counts.taken and not rejected and not counts.tables:
        is_folder = row.source == ImportBatch.Source.FOLDER
        label = Folder(from_location(row.location)).label if is_folder else str(_("the upload"))
        Report(row).add([(label, ProblemError("no_image"))])
        rejected = 1
    row.added = Image.objects.filter(batch=row).count()
    row.duplicates = max(0, counts.taken - row.added)
    row.rejected = rejected
    row.finished_at = clock.now()
    lines = outcome_counts(row)
    row.partly, row.skipped, row.noted = (lines[outcome] for outcome in ("partly", "skipped", "noted"))
    row.save(update_fields=["added", "duplicates", "rejected", "partly", "skipped", "noted", "finished_at"])
    record(
        kind="images.imported",
        actor=batch.created_by,
        dataset=batch.dataset,
        target=row,
        data={
            name: getattr(row, name)
            for name in ("added", "duplicates", "rejected", "partly", "skipped", "noted")
        },
    )
    if not_stored := row.problems.filter(code__in=LIMIT_CODES).count():
        record(
            kind="import.limit_reached",
            actor=batch.created_by,
            dataset=batch.dataset,
            target=row,
            data={"not_stored": not_stored},
        )
    if row.metadata_changed:
        record(
            kind="images.metadata_changed",
            actor=batch.created_by,
            dataset=batch.dataset,
            target=row,
            data={"changed": row.metadata_changed},
        )
        rebuild_images_of_changed_cameras(dataset=row.dataset, user=batch.created_by)
    if Image.objects.filter(dataset=batch.dataset).exists():
        enqueue(kind=Kind.ENCODE, dataset=batch.dataset, user=batch.created_by)
    return row
