"""Small files that can be written even on a full disk.

An existing file keeps its blocks on the disk, and the new text overwrites them.
"""

import contextlib
import errno
import os
from pathlib import Path

# Error numbers of a full disk and of an exceeded disk quota.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
BLOCK = 4096


def write_small(path: Path, text: str) -> None:
    """Replace a text file (0600), padded with blanks to whole blocks.

    Readers must ignore blanks at the end. If there is no space for a second file, the blocks of the existing
    file are overwritten. A reader may then see a half-written file for a moment. Raises OSError if neither is
    possible.
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
