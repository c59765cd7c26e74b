"""A disk of a few megabytes that can really be full: a tmpfs, mounted for one test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Path]:
    """`folder` as a disk of this size. Skips the test where this kernel, or this user, may not mount one."""
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
    """Fill the disk to the last byte but `leave`; the file that takes the place. Delete it to make room again."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        while (free := room(folder) - leave) > 0:
            try:
                os.posix_fallocate(file.fileno(), path.stat().st_size, free)
            except OSError:
                break
    return path


def room(folder: Path) -> int:
    """The bytes that are free."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
