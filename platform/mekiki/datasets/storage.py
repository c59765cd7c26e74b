"""Storage names of an image's files: original, thumbnail and, where needed, display file.

    datasets/<id>/originals/ab/<sha256>        the imported bytes, never changed
    datasets/<id>/thumbs/ab/<sha256>.webp      at most 256 pixels a side
    datasets/<id>/display/ab/<sha256>.webp     at most 1,600 pixels a side; only where the original is larger,
                                               or browsers would show other pixels than the decoder

Files are named by their content, so writing a file twice is harmless.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from mekiki.config.disk import READ_ONLY, DiskFullError
from mekiki.datasets.models import Image


def original_name(dataset_id: int, sha256: str) -> str:
    """Return the storage name of the original."""
    return f"datasets/{dataset_id}/originals/{sha256[:2]}/{sha256}"


def thumb_name(dataset_id: int, sha256: str) -> str:
    """Return the storage name of the thumbnail."""
    return f"datasets/{dataset_id}/thumbs/{sha256[:2]}/{sha256}.webp"


def display_name(dataset_id: int, sha256: str) -> str:
    """Return the storage name of the display file.

    The file exists only where browsers cannot show the original as it should be.
    """
    return f"datasets/{dataset_id}/display/{sha256[:2]}/{sha256}.webp"


def open_original(image: Image) -> BinaryIO:
    """Return the original, open for reading. Raises FileNotFoundError if it is missing."""
    return cast(BinaryIO, default_storage.open(original_name(image.dataset_id, image.sha256), "rb"))


def open_named(name: str) -> BinaryIO:
    """Return a stored file, open for reading. Raises FileNotFoundError if there is none."""
    return cast(BinaryIO, default_storage.open(name, "rb"))


def shown_name(image: Image) -> str:
    """Return the storage name of the file that users see and encoders embed.

    This is the display file if there is one, and otherwise the original.
    """
    display = display_name(image.dataset_id, image.sha256)
    if image.has_display or (image.has_display is None and is_stored(display)):
        return display
    return original_name(image.dataset_id, image.sha256)


def picture_path(image: Image) -> Path | None:
    """Return the path of the file that users see on this machine's disk, or None for object storage."""
    try:
        return Path(default_storage.path(shown_name(image)))
    except NotImplementedError:
        return None


def open_picture(image: Image) -> BinaryIO:
    """Return the file that users see, open for reading. Raises FileNotFoundError if it is missing."""
    return open_named(shown_name(image))


def is_stored(name: str) -> bool:
    """Return whether a stored file has this name."""
    return default_storage.exists(name)


def write_atomically(name: str, data: bytes) -> None:
    """Store bytes under a name, completely or not at all.

    Storing twice, or from two workers at once, is harmless. On a disk, the bytes are written to a temporary
    file, which is then renamed. A killed worker therefore leaves no incomplete file under the name. Raises
    OSError if there is no room, and NoRoomError if this process may not write there.
    """
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        # Object storages store complete objects. The name follows from the content, so an existing object is
        # right.
        if not default_storage.exists(name):
            default_storage.save(name, ContentFile(data))
        return
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size == len(data) and "/originals/" in name:
            return  # same hash in the name and same size: the same bytes
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")  # created with mode 0600
    except PermissionError as problem:
        raise DiskFullError(READ_ONLY) from problem
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(draft).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise
