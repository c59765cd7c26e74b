"""Services that start and run an import. A worker calls run_import."""

import ipaddress
import shutil
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.config.regular_files import kind_of, open_regular
from mekiki.datasets.hooks import run_import_end
from mekiki.datasets.importing import names, pipeline
from mekiki.datasets.importing.bucket_source import Bucket, BucketError
from mekiki.datasets.importing.entries import Folder, Source, Upload
from mekiki.datasets.importing.folders import from_location, to_location
from mekiki.datasets.importing.manifest_source import ManifestFile
from mekiki.datasets.importing.manifests import choosing
from mekiki.datasets.importing.recording import AlreadyFinishedError
from mekiki.datasets.importing.report import Report
from mekiki.datasets.importing.watched_source import SettledFiles
from mekiki.datasets.messages import KINDS_OF_FILE
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.datasets.options import DEFAULTS, ImportOptions
from mekiki.datasets.problems import LIMIT_CODES, ProblemError
from mekiki.datasets.selectors import outcome_counts
from mekiki.datasets.services.incoming import MANIFEST_FILE
from mekiki.datasets.services.uploads import enqueue_import
from mekiki.datasets.services.windows import rebuild_images_of_changed_cameras
from mekiki.jobs.in_hand import ItemsInHand
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import enqueue


def import_folder(
    *, dataset: Dataset, path: str | Path, user: User | None, options: ImportOptions = DEFAULTS
) -> Job:
    """Import a folder, a zip, a manifest or a single image from the server's disk.

    The worker must be able to read it. The rows of a manifest name files below the folder of the manifest.
    `user` is None on the command line. Raises PermissionDenied unless the user is an admin of the dataset.
    Raises ValidationError if the path does not exist, if it is neither a file nor a folder, or if an option
    is not valid.
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
    is_listed = kind == "" and _is_manifest(place)
    with transaction.atomic():
        batch = ImportBatch.objects.create(
            dataset=dataset,
            source=ImportBatch.Source.LISTED if is_listed else ImportBatch.Source.FOLDER,
            location=to_location(place),
            root=to_location(place.parent) if is_listed else "",
            created_by=user,
            **options.columns(Folder(place).label if is_listed else names.readable_name(place.name)),
        )
        return enqueue_import(batch=batch, user=user)


def _is_manifest(path: Path) -> bool:
    """Return whether a file on the server is a manifest, by its name and first bytes.

    A table metadata.csv alone corrects the metadata of known images instead.
    """
    if path.name.lower().startswith("metadata."):
        return False
    try:
        with open_regular(path) as file:
            return choosing.is_manifest(path.name, file.read(8))
    except OSError:
        return False


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
        source = _source_of(batch)
        try:
            counts = pipeline.store_all(batch, source, progress, hand or examined_files_of(batch))
        except BucketError as error:
            raise ValidationError(
                _("The bucket could not be read: %(reason)s. Images stored before are kept."),
                params={"reason": str(error)},
            ) from None
        except AlreadyFinishedError:
            batch = ImportBatch.objects.filter(pk=batch.pk).first() or batch
        else:
            batch = _close(batch, counts)
    if batch.waits_here and batch.location:
        shutil.rmtree(batch.location, ignore_errors=True)
        ImportBatch.objects.filter(pk=batch.pk).update(waiting_bytes=0)
    return batch


def _source_of(batch: ImportBatch) -> Source | ManifestFile | Bucket:
    kinds = ImportBatch.Source
    if batch.source == kinds.BUCKET:
        return bucket_at(batch.location)
    if batch.source == kinds.WATCHED:
        folder = Folder(from_location(batch.location))
        return SettledFiles(folder, batch.dataset_id, batch.location, batch.pk)
    if batch.source == kinds.UPLOAD:
        return Upload(Path(batch.location))
    if batch.source not in {kinds.MANIFEST, kinds.LISTED}:
        return Folder(from_location(batch.location))
    path = from_location(batch.location)
    return ManifestFile(
        path / MANIFEST_FILE if batch.source == kinds.MANIFEST else path,
        batch.title or path.name,
        from_location(batch.root) if batch.root else None,
        tuple(ipaddress.ip_network(network, strict=False) for network in settings.IMPORT_NETWORKS),
    )


def bucket_at(address: str) -> Bucket:
    """Return a bucket by its address, with the settings of the server."""
    return Bucket(
        address, settings.S3_ENDPOINT, settings.S3_REGION, settings.S3_KEY_ID, settings.S3_SECRET_KEY
    )


@transaction.atomic
def _close(batch: ImportBatch, counts: pipeline.Counts) -> ImportBatch:
    """Write the counts of the import, once."""
    row = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if row.finished_at is not None:
        return row
    rejected = counts.rejected
    resyncs = row.source in {ImportBatch.Source.BUCKET, ImportBatch.Source.WATCHED}
    if not counts.taken and not rejected and not counts.tables and not resyncs:
        is_folder = row.source == ImportBatch.Source.FOLDER
        label = Folder(from_location(row.location)).label if is_folder else row.title or str(_("the upload"))
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
    run_import_end(row, batch.created_by)
    if Image.objects.filter(dataset=batch.dataset).exists():
        enqueue(kind=Kind.ENCODE, dataset=batch.dataset, user=batch.created_by)
    return row
