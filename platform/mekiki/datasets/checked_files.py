"""Stored files that are given out only while they have the hash that was recorded for them."""

import hashlib
import os
from typing import BinaryIO

from django.core.files.storage import default_storage

from mekiki.audit.models import Event
from mekiki.audit.services import record
from mekiki.datasets import storage
from mekiki.datasets.models import Dataset

PIECE = 1 << 20
MOST_REMEMBERED = 10_000
_remembered: dict[tuple[int, ...], str] = {}


class ChangedFileError(Exception):
    """A stored file no longer has its recorded hash. It was not given out, and an event says so."""


def open_checked(*, name: str, sha256: str, dataset: Dataset, kind: str, object_id: str) -> BinaryIO:
    """Return a stored file, open for reading, once its hash is the recorded one.

    kind, object_id: of the event that reports a file that was changed; one event for each hash that was found.
    FileNotFoundError: there is none. ChangedFileError.
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
    earlier = Event.objects.filter(kind=kind, object_id=object_id, dataset_id=dataset.pk, data__found=actual)
    if not earlier.exists():
        data = {"object": object_id, "expected": sha256, "found": actual}
        record(kind=kind, dataset=dataset, object_id=object_id, data=data)
    raise ChangedFileError(name)


def _hash_of(file: BinaryIO, name: str) -> str:
    """Return the SHA-256 of an open file, which stands at its beginning afterwards.

    A file on this machine's disk is read once, and again when it has changed: its time of change (ctime) is the
    kernel's, and nobody can set it back.
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
