"""A disk of a few megabytes that can be full: a tmpfs, mounted for one test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk of this size on `folder`.

    Skips the test if this kernel or user may not mount one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "mekiki-test", str(folder)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip(
            f"A small disk cannot be mounted here (it needs root or CAP_SYS_ADMIN): {done.stderr.strip()}"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Fill the disk except for `leave` bytes and return the filling file.

    Delete the file to free the space again.
    """
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        while (free := room(folder) - leave) > 0:
            try:
                os.posix_fallocate(file.fileno(), path.stat().st_size, free)
            except OSError:
                break
    return path


def room(folder: Path) -> int:
    """Return the number of free bytes."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize
