"""Receive files from a browser into a folder of the import, until the import is started.

HOME/incoming/<batch>/ (0700) holds numbered files and names.jsonl. Each line of names.jsonl is {"file",
"name", "size"}. The name that the client sent is written only into that line and never used as a path. The
number of a file is the offset of its line. It is therefore unique and ordered, and needs no counter.
"""

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.config.disk import require_room
from mekiki.datasets import quotas
from mekiki.datasets.importing import names
from mekiki.datasets.importing.archives import HEAD_BYTES, is_zip, other_archive
from mekiki.datasets.importing.entries import NAMES_FILE
from mekiki.datasets.models import Dataset, Image, ImportBatch, ImportProblem
from mekiki.datasets.problems import ProblemError
from mekiki.datasets.selectors import outcome_counts
from mekiki.jobs.models import ACTIVE_STATES, Job, Kind
from mekiki.jobs.services import cancel, enqueue

_STEP = 1024 * 1024
# An unfinished upload is discarded after this time.
ABANDONED_AFTER = timedelta(days=2)


class IncompleteError(ValidationError):
    """Error for a file that did not arrive completely because the connection ended.

    Nothing of the file is kept. It may be sent again.
    """


class Readable(Protocol):
    """A file open for reading bytes: Django's UploadedFile, an open file or BytesIO."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes."""
        ...


def job_key(batch: ImportBatch) -> str:
    """Return the key that allows one active job for each import.

    Several imports of one dataset may run at the same time.
    """
    return f"{Kind.IMPORT_IMAGES}:{batch.pk}"


def start_upload(*, dataset: Dataset, user: User | None, every_page: bool = False) -> ImportBatch:
    """Start an upload. Files are then added one by one, and finish_upload starts the import.

    `every_page`: every page of a TIFF becomes an image, not only the largest. Raises NoRoomError if the disk
    is nearly full.
    """
    require_room()
    _throw_away_abandoned(dataset)
    batch = ImportBatch.objects.create(
        dataset=dataset, source=ImportBatch.Source.UPLOAD, created_by=user, every_page=every_page
    )
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
    uploads = ImportBatch.objects.filter(source=ImportBatch.Source.UPLOAD).exclude(location="")
    place = Concat(Value(folder), Cast("pk", CharField()))
    return uploads.exclude(location__startswith=folder).update(location=place)


def add_file(*, batch: ImportBatch, name: str, file: Readable, size: int | None = None) -> int:
    """Add one file to an upload and return the number of bytes received.

    `size`: the number of bytes that the file must have. Raises IncompleteError if another number arrives, for
    example after a broken connection. The file is not kept then. Raises ValidationError if the upload is
    finished or was discarded. Raises NoRoomError if the disk is nearly full. A file above its limit is not
    kept, and the report of the import names it. Zips have their own limit.
    """
    require_room()
    folder = _open_folder(batch)
    handle, draft = tempfile.mkstemp(dir=folder, prefix="draft-")
    try:
        with os.fdopen(handle, "wb") as out:
            received, problem = _copy(file, out)
        if size is not None and received != size:
            raise IncompleteError(_("The connection broke before the whole file had arrived. Send it again."))
        if problem is None:
            problem = _wait(batch, received)
        if problem is not None:
            Path(draft).unlink()
        _append(folder, name, received, None if problem else Path(draft), problem)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise
    return received


def _wait(batch: ImportBatch, size: int) -> ProblemError | None:
    """Count a file among the files that wait. Return the storage limit that refuses it, or None.

    The file is counted before the limit is checked, so that two files that arrive at the same time see each
    other.
    """
    quotas.count_waiting(batch, size)
    problem = quotas.waiting_problem(batch)
    if problem is not None:
        quotas.count_waiting(batch, -size)
    return problem


def add_files(
    *,
    batch: ImportBatch,
    part: int,
    files: Iterable[tuple[str, Readable, int | None]],
    refused: Iterable[tuple[str, int | None]] = (),
) -> int:
    """Add the numbered part of an upload and return how many files were added.

    A part that is sent again after a lost reply is ignored. `files`: (name, file, number of bytes if known).
    `refused`: (name, number of bytes) of files that the browser did not send because of their size. The
    number is None for files that it could not read. The report names these files too. Raises the same errors
    as add_file.
    """
    folder = _open_folder(batch)
    marker = folder / f"part-{part:08d}"
    if marker.exists():
        return 0
    taken = 0
    for name, file, size in files:
        add_file(batch=batch, name=name, file=file, size=size)
        taken += 1
    for name, size in refused:
        if size is None:
            _append(folder, name, 0, None, ProblemError("unreadable_upload"))
            continue
        is_archive = name.lower().endswith(".zip")
        limit = settings.MAX_ARCHIVE_BYTES if is_archive else settings.MAX_FILE_BYTES
        _append(folder, name, size, None, _too_big(limit))
    marker.touch(mode=0o600)
    return taken


def _open_folder(batch: ImportBatch) -> Path:
    folder = Path(batch.location)
    if batch.finished_at is not None or not batch.location or not folder.is_dir():
        raise ValidationError(_("This upload has ended. Start a new one; images stored before are kept."))
    if Job.objects.filter(key=job_key(batch)).exists():
        raise ValidationError(_("This upload is being imported already. Start a new one for more files."))
    return folder


def _append(folder: Path, name: str, size: int, draft: Path | None, problem: ProblemError | None) -> None:
    # Unbuffered: a full disk is noticed at once, and nothing is written later.
    with (folder / NAMES_FILE).open("ab+", buffering=0) as lines:
        # Not a FileLock: the lock is on the open file that is written.
        fcntl.flock(lines, fcntl.LOCK_EX)
        at = lines.seek(0, os.SEEK_END)
        whole = at
        if at:
            lines.seek(at - 1)
            if lines.read(1) != b"\n":  # a server was killed while it wrote the last line
                at += 1
        row = {"file": at, "name": names.readable(name), "size": size}
        if problem is not None:
            row["problem"] = {"code": problem.code, "detail": problem.detail}
        line = b"\n" * (at - whole) + json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        file = folder / f"{at:012d}"
        try:
            if draft is not None:
                draft.replace(file)
            while line:
                line = line[lines.write(line) :]
        except OSError:
            os.truncate(lines.fileno(), whole)
            if draft is not None:
                file.unlink(missing_ok=True)
            raise


def _too_big(limit: int) -> ProblemError:
    return ProblemError(
        "archive_too_big" if limit == settings.MAX_ARCHIVE_BYTES else "too_large", limit=limit
    )


def _copy(file: Readable, out: BinaryIO) -> tuple[int, ProblemError | None]:
    """Return (bytes read, problem). It always reads to the end, so that the client gets its answer."""
    size = 0
    limit = settings.MAX_FILE_BYTES
    problem = None
    while piece := file.read(_STEP):
        if not size and is_zip(piece[:4]):
            limit = settings.MAX_ARCHIVE_BYTES
        elif not size and (kind := other_archive(piece[:HEAD_BYTES])):
            problem = ProblemError("archive_kind", format=kind)
        size += len(piece)
        if problem is None and size > limit:
            problem = _too_big(limit)
            out.truncate(0)
        if problem is None:
            out.write(piece)
    return size, problem


@transaction.atomic
def finish_upload(*, batch: ImportBatch, user: User | None) -> Job:
    """Start the import of an upload. It also restarts an import that was cancelled or failed.

    Raises ValidationError if the import is finished already.
    """
    row = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if row.finished_at is not None:
        raise ValidationError(_("This import is finished already."))
    return enqueue(
        kind=Kind.IMPORT_IMAGES,
        dataset=row.dataset,
        key=job_key(row),
        payload={"batch": row.pk},
        user=user,
    )


@transaction.atomic
def discard_import(*, batch: ImportBatch, user: User | None) -> None:
    """Discard an import: stop its jobs and delete the files that wait. Stored images are kept."""
    row = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if row.finished_at is not None:
        return
    for job in Job.objects.filter(key=job_key(row), state__in=ACTIVE_STATES):
        cancel(job=job, user=user)
    folder = row.location if row.source == ImportBatch.Source.UPLOAD else ""
    row.added = Image.objects.filter(batch=row).count()
    if row.added or row.problems.exists() or row.source == ImportBatch.Source.FOLDER:
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


def _throw_away_abandoned(dataset: Dataset) -> None:
    old = ImportBatch.objects.filter(
        dataset=dataset,
        source=ImportBatch.Source.UPLOAD,
        finished_at__isnull=True,
        created_at__lt=clock.now() - ABANDONED_AFTER,
    )
    for batch in old:
        if not Job.objects.filter(key=job_key(batch)).exists():
            discard_import(batch=batch, user=None)
