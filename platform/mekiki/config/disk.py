"""Free space on the disks: the current shortage, work that waits for space, and errors of a full disk.

Bulk work (imports, trainings, exports) waits while less than the reserve (MEKIKI_RESERVE_MB) is free. The
decisions of reviewers can then still be stored. The supervisor also occupies a part of the disk with a file,
which it deletes when the disk is full (embedded/ballast.py).
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mekiki.config import env

FULL, READ_ONLY = "disk_full", "read_only"
# SQLSTATE of PostgreSQL for a full disk.
DISK_FULL_STATE = "53100"
PROBLEM_OF_ERRNO = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READ_ONLY}


@dataclass(frozen=True)
class DiskUsage:
    """A folder that Mekiki writes to, and the free space of its disk.

    `problem` is "", FULL (less than the reserve is free) or READ_ONLY.
    """

    name: str  # files, database or home
    folder: Path
    free: int
    total: int
    problem: str


class DiskFullError(OSError):
    """An error that means work must wait and nothing was written. `reason` is FULL or READ_ONLY."""

    def __init__(self, reason: str) -> None:
        number = errno.EROFS if reason == READ_ONLY else errno.ENOSPC
        super().__init__(number, os.strerror(number))
        self.reason = reason


def reserve_bytes() -> int:
    """Return the number of bytes that bulk work leaves free."""
    return env.number("MEKIKI_RESERVE_MB") * 1024 * 1024


def disk_usage() -> list[DiskUsage]:
    """Return the folders of this home that Mekiki writes to.

    A database that runs elsewhere is not among them.
    """
    home = env.home()
    folders = {"files": home / "files", "home": home}
    if not env.text("DATABASE_URL") or (home / "postgres").exists():
        folders["database"] = (home / "postgres").resolve()
    places_of_data = []
    for name, folder in folders.items():
        place = next(
            (parent for parent in (folder, *folder.parents) if os.path.exists(parent)),  # noqa: PTH110
            folder,
        )
        places_of_data.append(_place(name, place))
    return places_of_data


def _place(name: str, folder: Path) -> DiskUsage:
    try:
        state = os.statvfs(folder)
    except OSError:  # a network disk that cannot be reached
        return DiskUsage(name, folder, 0, 0, READ_ONLY)
    free, total = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
    problem = ""
    # Only the database server writes its folder. For root it runs as a separate user.
    if state.f_flag & os.ST_RDONLY or (name != "database" and not os.access(folder, os.W_OK)):
        problem = READ_ONLY
    elif free < reserve_bytes():
        problem = FULL
    return DiskUsage(name, folder, free, total, problem)


def shortage_reason() -> str:
    """Return why bulk work must wait now: FULL, READ_ONLY, or "" if it need not wait."""
    return next((place.problem for place in disk_usage() if place.problem), "")


def require_disk_space() -> None:
    """Raise NoRoomError if bulk work must wait.

    To be called before the work begins.
    """
    if reason := shortage_reason():
        raise DiskFullError(reason)


def disk_problem_of(error: BaseException) -> str:
    """Return FULL or READ_ONLY if the error or one of its causes means that, else ""."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in PROBLEM_OF_ERRNO:
            return PROBLEM_OF_ERRNO[cause.errno]
        if getattr(cause, "sqlstate", None) == DISK_FULL_STATE:
            return FULL
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
