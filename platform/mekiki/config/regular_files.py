"""Opening of files that a person named. Only regular files are opened.

Opening a named pipe waits for a writer, and opening a device can act on it. The kind is therefore checked
before the file is opened. It is checked again afterwards, because the path may have been replaced in between.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
)


class NotRegularError(OSError):
    """The path does not name a regular file.

    `kind` is named pipe, socket, device, folder or link.
    """

    def __init__(self, path: str | Path, kind: str) -> None:
        super().__init__(errno.EINVAL, f"This is a {kind}, not a regular file", os.fspath(path))
        self.kind = kind


def kind_of(mode: int) -> str:
    """Return the kind of file that a file mode means, or "" for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for test, name in _KINDS if test(mode)), "device")


def open_regular(path: str | Path, *, follow_links: bool = True) -> BinaryIO:
    """Return the file, opened for reading bytes, without waiting.

    Raises NotRegularError for anything except a regular file, and OSError like open().
    """
    _check(path, Path(path).stat(follow_symlinks=follow_links).st_mode)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    handle = os.open(path, flags if follow_links else flags | os.O_NOFOLLOW)
    try:
        _check(path, os.fstat(handle).st_mode)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: str | Path) -> bytes:
    """Return the bytes of a regular file. Raises the errors of open_regular."""
    with open_regular(path) as file:
        return file.read()


def _check(path: str | Path, mode: int) -> None:
    if kind := kind_of(mode):
        raise NotRegularError(path, kind)
