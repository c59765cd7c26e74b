"""A file that occupies space beside the database and is deleted when the disk is full.

On a disk without a free block PostgreSQL can neither restart after a crash nor store a decision. Other
programs may fill the disk at any time. The space of this file can then be given to the database.
"""

import contextlib
import os
from pathlib import Path

LARGEST = 64 * 1024 * 1024
NAME = "ballast"


class ReserveFile:
    """The ballast file, in a folder on the database's disk.

    `reserve` is the number of bytes that bulk work leaves free.
    """

    def __init__(self, folder: Path, reserve: int) -> None:
        self.path = folder / NAME
        self.reserve = reserve
        self.size = min(LARGEST, reserve // 4)

    def adjust(self) -> str:
        """Delete or create the file, depending on the free space.

        Returns "given up" after deletion, "made" after creation, "" if nothing changed.
        """
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
            pass  # the disk is read-only or has just become full, and the next call handles that
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
