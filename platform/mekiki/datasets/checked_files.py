"""Read stored files and verify that they still have their recorded SHA-256."""

import hashlib
import os
from typing import BinaryIO

from django.core.files.storage import default_storage
from django.db import transaction

from mekiki.audit.services import record
from mekiki.datasets import storage
from mekiki.datasets.models import ChangedFile, Dataset

PIECE = 1 << 20
MOST_REMEMBERED = 10_000
_remembered: dict[tuple[int, ...], str] = {}


class ChangedFileError(Exception):
    """Error for a stored file that no longer has its recorded hash.

    The file was not served, and an event reports it.
    """


def open_checked(*, name: str, sha256: str, dataset: Dataset, kind: str, object_id: str) -> BinaryIO:
    """Return a stored file, open for reading, if its hash is the recorded hash.

    `kind` and `object_id` belong to the event that reports a changed file. One event is recorded for each
    different hash. Raises FileNotFoundError if there is no such file, and ChangedFileError if its hash
    differs.
    """
    file = storage.open_named(name)
    try:
        actual = _hash_of(file, name)
        if actual == sha256:
            return file
    except BaseException:
        file.close()
        raise
    file.close()
    _report(dataset, object_id, kind=kind, expected=sha256, actual=actual)
    raise ChangedFileError(name)


@transaction.atomic
def _report(dataset: Dataset, object_id: str, *, kind: str, expected: str, actual: str) -> None:
    _row, is_new = ChangedFile.objects.get_or_create(
        dataset=dataset, kind=kind, object_id=object_id, actual=actual, defaults={"expected": expected}
    )
    if is_new:
        data = {"object": object_id, "expected": expected, "found": actual}
        record(kind=kind, dataset=dataset, object_id=object_id, data=data)


def _hash_of(file: BinaryIO, name: str) -> str:
    """Return the SHA-256 of an open file and move back to its beginning.

    A file on this machine's disk is read once, and again after a change. The kernel sets the time of change
    (ctime), so nobody can set it back.
    """
    try:
        default_storage.path(name)
    except NotImplementedError:  # an object storage
        return _read(file)
    state = os.fstat(file.fileno())
    mark = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    if mark not in _remembered:
        while len(_remembered) >= MOST_REMEMBERED:
            _remembered.pop(next(iter(_remembered)), None)
        _remembered[mark] = _read(file)
    return _remembered[mark]


def _read(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    file.seek(0)
    return digest.hexdigest()
