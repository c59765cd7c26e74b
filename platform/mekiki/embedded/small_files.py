"""Small files that must be written although the disk is full: a file made once keeps its place on the disk."""

import contextlib
import errno
import os
from pathlib import Path

# What a disk says that has no room: full, or the user's quota is used up.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
BLOCK = 4096


def write_small(path: Path, text: str) -> None:
    """Replace a text file (0600), filled up with blanks to whole blocks. Readers must ignore blanks at its end.

    Where there is no room for a second file, the blocks that the file has are written over: a reader may then meet a
    half-written file for a moment. OSError when neither is possible.
    """
    data = text.encode("utf-8", "surrogateescape")
    data += b" " * (-len(data) % BLOCK)
    draft = path.with_name(f".{path.name}.tmp")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        draft.replace(path)
    except OSError as problem:
        with contextlib.suppress(OSError):
            draft.unlink()
        if problem.errno not in NO_ROOM:
            raise
        _write_over(path, data, problem)


def _write_over(path: Path, data: bytes, problem: OSError) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise problem from None
    try:
        size = os.fstat(handle).st_size
        if size < len(data):
            raise problem
        os.pwrite(handle, data.ljust(size), 0)
    finally:
        os.close(handle)
