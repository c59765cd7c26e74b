"""A file that occupies room beside the database, and is given up when the disk is full.

PostgreSQL cannot start again after a crash, nor store an answer, on a disk without a single free block. Other programs on
the machine may fill it whatever we do; the room of this file is then ours alone to give.
"""

import contextlib
import os
from pathlib import Path

LARGEST = 64 * 1024 * 1024
NAME = "ballast"


class Ballast:
    """The file, in a folder on the database's disk. reserve: the bytes that bulk work leaves free."""

    def __init__(self, folder: Path, reserve: int) -> None:
        self.path = folder / NAME
        self.reserve = reserve
        self.size = min(LARGEST, reserve // 4)

    def look(self) -> str:
        """Give the file up, or make it again, as the disk is; "given up", "made" or "" when nothing changed."""
        try:
            free = _free(self.path.parent)
            held = self.path.exists()
            if held and free < self.size // 4:
                self.path.unlink()
                return "given up"
            if not held and free >= self.reserve + self.size:
                self._make()
                return "made"
        except OSError:
            pass  # the disk is read-only, or became full just now: the next look sees it
        return ""

    def _make(self) -> None:
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(handle, 0, max(1, self.size))
        except OSError:
            with contextlib.suppress(OSError):
                self.path.unlink()
            raise
        finally:
            os.close(handle)


def _free(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize
