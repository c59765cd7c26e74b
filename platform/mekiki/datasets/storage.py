"""Where an image's files lie: the original by its hash, a thumbnail, and where needed a picture for browsers.

    datasets/<id>/originals/ab/<sha256>        the bytes as they came, never changed
    datasets/<id>/thumbs/ab/<sha256>.webp      at most 256 pixels a side
    datasets/<id>/display/ab/<sha256>.webp     at most 1,600; only where the original is larger, or browsers would
                                               show other pixels than the decoder's

Everything is named by content, so writing twice is harmless.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from mekiki.config.disk import READ_ONLY, NoRoomError
from mekiki.datasets.models import Image


def original_name(dataset_id: int, sha256: str) -> str:
    """Storage name of the original."""
    return f"datasets/{dataset_id}/originals/{sha256[:2]}/{sha256}"


def thumb_name(dataset_id: int, sha256: str) -> str:
    """Storage name of the thumbnail."""
    return f"datasets/{dataset_id}/thumbs/{sha256[:2]}/{sha256}.webp"


def display_name(dataset_id: int, sha256: str) -> str:
    """Storage name of the picture for browsers; it exists only where the original will not do."""
    return f"datasets/{dataset_id}/display/{sha256[:2]}/{sha256}.webp"


def open_original(image: Image) -> BinaryIO:
    """The original's bytes, as a file open for reading. FileNotFoundError when the storage lost it."""
    return cast(BinaryIO, default_storage.open(original_name(image.dataset_id, image.sha256), "rb"))


def open_named(name: str) -> BinaryIO:
    """A stored file by its storage name. FileNotFoundError when there is none."""
    return cast(BinaryIO, default_storage.open(name, "rb"))


def local_path(image: Image) -> Path | None:
    """The original's path when files are kept on this machine's disk; None for object storage."""
    try:
        return Path(default_storage.path(original_name(image.dataset_id, image.sha256)))
    except NotImplementedError:
        return None


def shown_name(image: Image) -> str:
    """Storage name of the file that people are shown and encoders embed: the display file, or the original."""
    display = display_name(image.dataset_id, image.sha256)
    if image.has_display or (image.has_display is None and has(display)):
        return display
    return original_name(image.dataset_id, image.sha256)


def shown_path(image: Image) -> Path | None:
    """The path of that file when files are kept on this machine's disk; None for object storage."""
    try:
        return Path(default_storage.path(shown_name(image)))
    except NotImplementedError:
        return None


def open_shown(image: Image) -> BinaryIO:
    """That file, open for reading. FileNotFoundError when the storage lost it."""
    return open_named(shown_name(image))


def has(name: str) -> bool:
    """Is there a stored file of this name?"""
    return default_storage.exists(name)


def put(name: str, data: bytes) -> None:
    """Store bytes under a name, whole or not at all. Doing it twice, or at once from two workers, is harmless.

    On a disk: written beside and renamed, so that a killed worker leaves no half file under the name. OSError when there
    is no room; NoRoomError when this process may not write there.
    """
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        # Object storages store whole objects; the name is the content, so an existing one is right.
        if not default_storage.exists(name):
            default_storage.save(name, ContentFile(data))
        return
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size == len(data) and "/originals/" in name:
            return  # named by its hash and as long: the same bytes
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".draft-")  # made with mode 0600
    except PermissionError as problem:
        raise NoRoomError(READ_ONLY) from problem
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(draft).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(draft).unlink()
        raise
