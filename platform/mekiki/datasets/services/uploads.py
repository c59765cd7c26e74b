"""Receive files from a browser into a folder of the import (`incoming`), until the import is started."""

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.config.disk import require_disk_space
from mekiki.datasets import quotas
from mekiki.datasets.importing import names
from mekiki.datasets.models import Dataset, Image, ImportBatch, ImportProblem
from mekiki.datasets.options import DEFAULTS, ImportOptions
from mekiki.datasets.problems import ProblemError
from mekiki.datasets.selectors import outcome_counts
from mekiki.datasets.services.incoming import Readable, Received, append_files, receive, too_big_problem
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.jobs.payloads import ImportImagesPayload
from mekiki.jobs.services import cancel, enqueue

# An unfinished upload is discarded after this time.
ABANDONED_AFTER = timedelta(days=2)


def import_job_key(batch: ImportBatch) -> str:
    """Return the key that allows one active job for each import.

    Several imports of one dataset may run at the same time.
    """
    return f"{Kind.IMPORT_IMAGES}:{batch.pk}"


def start_upload(
    *, dataset: Dataset, user: User, options: ImportOptions = DEFAULTS, title: str = ""
) -> ImportBatch:
    """Start an upload. Files are then added one by one, and finish_upload starts the import.

    `title`: the name of the source of labels if the options name none. Raises PermissionDenied unless the
    user is an admin of the dataset, ValidationError if an option is not valid, and NoRoomError if the disk is
    nearly full.
    """
    require_role(user, dataset, Role.ADMIN)
    columns = options.columns(names.readable_name(title) if title else "")
    require_disk_space()
    _discard_abandoned_uploads(dataset)
    return with_folder(
        ImportBatch(dataset=dataset, source=ImportBatch.Source.UPLOAD, created_by=user, **columns)
    )


def with_folder(batch: ImportBatch) -> ImportBatch:
    """Store a new import and create its folder under HOME/incoming. The permission was checked before."""
    batch.save()
    folder = settings.HOME / "incoming" / str(batch.pk)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # An existing folder of this number comes from a database that was replaced. Its files belong to no
    # import.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    batch.location = str(folder)
    batch.save(update_fields=["location"])
    return batch


def relocate_uploads() -> int:
    """Set the folder of every upload to this home, and return how many rows were changed.

    The home may have been moved or restored from a backup.
    """
    folder = f"{settings.HOME}/incoming/"
    waiting = (ImportBatch.Source.UPLOAD, ImportBatch.Source.MANIFEST)
    uploads = ImportBatch.objects.filter(source__in=waiting).exclude(location="")
    place = Concat(Value(folder), Cast("pk", CharField()))
    return uploads.exclude(location__startswith=folder).update(location=place)


def add_file(*, batch: ImportBatch, user: User, name: str, file: Readable, size: int | None = None) -> int:
    """Add one file to an upload and return the number of bytes received.

    `size`: the number of bytes that the file must have. Raises PermissionDenied unless the user is an admin
    of the dataset. Raises IncompleteError if another number of bytes arrives, for example after a broken
    connection. The file is not kept then. Raises ValidationError if the upload is finished or was discarded.
    Raises NoRoomError if the disk is nearly full. A file above its limit is not kept, and the report of the
    import names it. Zips have their own limit.
    """
    require_role(user, batch.dataset, Role.ADMIN)
    folder = _open_folder(batch)
    with _together(batch) as received:
        received.append(_receive(batch, folder, name, file, size))
        append_files(folder, received)
    return received[0].size


def add_files(
    *,
    batch: ImportBatch,
    user: User,
    part: int,
    files: Iterable[tuple[str, Readable, int | None]],
    refused: Iterable[tuple[str, int | None]] = (),
) -> int:
    """Add the numbered part of an upload and return how many files were added.

    The part is added completely or not at all. A part that is sent again, after a lost reply or at the same
    time, is ignored. `files`: (name, file, number of bytes if known). `refused`: (name, number of bytes) of
    files that the browser did not send because of their size. The number is None for files that it could not
    read. The report names these files too. Raises the same errors as add_file.
    """
    require_role(user, batch.dataset, Role.ADMIN)
    folder = _open_folder(batch)
    marker = folder / f"part-{part:08d}"
    if marker.exists():
        return 0
    with _together(batch) as received:
        for name, file, size in files:
            received.append(_receive(batch, folder, name, file, size))
        taken = len(received)
        for name, size in refused:
            if size is None:
                received.append(Received(name, 0, None, ProblemError("unreadable_upload")))
                continue
            is_archive = name.lower().endswith(".zip")
            limit = settings.MAX_ARCHIVE_BYTES if is_archive else settings.MAX_FILE_BYTES
            received.append(Received(name, size, None, too_big_problem(limit)))
        if not append_files(folder, received, marker=marker):
            _give_back(batch, received)
            return 0
    return taken


@contextlib.contextmanager
def _together(batch: ImportBatch) -> Iterator[list[Received]]:
    """Yield a list for the received files. If the block raises an error, none of them is kept or counted."""
    received: list[Received] = []
    try:
        yield received
    except BaseException:
        _give_back(batch, received)
        raise


def _give_back(batch: ImportBatch, received: Iterable[Received]) -> None:
    kept = [file for file in received if file.draft is not None]
    for file in kept:
        file.discard()
    if kept:
        quotas.add_pending_bytes(batch, -sum(file.size for file in kept))


def _receive(batch: ImportBatch, folder: Path, name: str, file: Readable, size: int | None) -> Received:
    """Receive a file and count it among the files that wait, or refuse it because of a limit.

    The file is counted before the limit is checked, so that two files that arrive at the same time see each
    other.
    """
    require_disk_space()
    received = receive(folder, name, file, size)
    if received.draft is None:
        return received
    try:
        quotas.add_pending_bytes(batch, received.size)
        problem = quotas.pending_upload_problem(batch)
        if problem is not None:
            quotas.add_pending_bytes(batch, -received.size)
            return received.refused(problem)
    except BaseException:
        received.discard()
        raise
    return received


def _open_folder(batch: ImportBatch) -> Path:
    folder = Path(batch.location)
    if batch.finished_at is not None or not batch.location or not folder.is_dir():
        raise ValidationError(_("This upload has ended. Start a new one; images stored before are kept."))
    if Job.objects.filter(key=import_job_key(batch)).exists():
        raise ValidationError(_("This upload is being imported already. Start a new one for more files."))
    return folder


@transaction.atomic
def finish_upload(*, batch: ImportBatch, user: User) -> Job:
    """Start the import of an upload. It also restarts an import that was cancelled or failed.

    Raises PermissionDenied unless the user is an admin of the dataset, and ValidationError if the import is
    finished already.
    """
    require_role(user, batch.dataset, Role.ADMIN)
    return enqueue_import(batch=batch, user=user)


@transaction.atomic
def enqueue_import(*, batch: ImportBatch, user: User | None) -> Job:
    """Start the job of an import after the permission was checked. `user` is None on the command line.

    Raises ValidationError if the import is finished already.
    """
    row = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if row.finished_at is not None:
        raise ValidationError(_("This import is finished already."))
    return enqueue(
        kind=Kind.IMPORT_IMAGES,
        dataset=row.dataset,
        key=import_job_key(row),
        payload=ImportImagesPayload(batch=row.pk).as_json(),
        user=user,
    )


def import_files(
    *,
    dataset: Dataset,
    user: User,
    files: Sequence[tuple[str, Readable, int | None]],
    options: ImportOptions = DEFAULTS,
) -> ImportBatch:
    """Import files that one request has sent: (name, file, number of bytes if known).

    Nothing is kept if a file does not arrive completely. Raises the errors of start_upload and add_file.
    """
    title = files[0][0] if len(files) == 1 else ""
    batch = start_upload(dataset=dataset, user=user, options=options, title=title)
    try:
        for name, file, size in files:
            add_file(batch=batch, user=user, name=name, file=file, size=size)
        finish_upload(batch=batch, user=user)
    except BaseException:
        discard_import(batch=batch, user=user)
        raise
    return batch


@transaction.atomic
def discard_import(*, batch: ImportBatch, user: User | None) -> None:
    """Discard an import: stop its jobs and delete the files that wait. Stored images are kept.

    `user` is None if the platform discards an upload that was abandoned. Raises PermissionDenied unless the
    user is an admin of the dataset.
    """
    if user is not None:
        require_role(user, batch.dataset, Role.ADMIN)
    row = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if row.finished_at is not None:
        return
    for job in Job.objects.filter(key=import_job_key(row), state__in=ACTIVE_STATES):
        job.dataset = batch.dataset  # with the role of the user
        cancel(job=job, user=user)
    folder = row.location if row.waits_here else ""
    row.added = Image.objects.filter(batch=row).count()
    if row.added or row.problems.exists() or not row.waits_here:
        lines = outcome_counts(row)
        row.rejected, row.partly, row.skipped, row.noted = (
            lines[outcome] for outcome in ImportProblem.Outcome.values
        )
        row.finished_at = clock.now()
        row.waiting_bytes = 0
        row.save(
            update_fields=["added", "rejected", "partly", "skipped", "noted", "finished_at", "waiting_bytes"]
        )
        record(
            kind="import.discarded", actor=user, dataset=row.dataset, target=row, data={"added": row.added}
        )
    else:
        row.delete()
    if folder:
        transaction.on_commit(lambda: shutil.rmtree(folder, ignore_errors=True))


def _discard_abandoned_uploads(dataset: Dataset) -> None:
    old = ImportBatch.objects.filter(
        dataset=dataset,
        source=ImportBatch.Source.UPLOAD,
        finished_at__isnull=True,
        created_at__lt=clock.now() - ABANDONED_AFTER,
    )
    for batch in old:
        if not Job.objects.filter(key=import_job_key(batch)).exists():
            discard_import(batch=batch, user=None)
