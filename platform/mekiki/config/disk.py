"""Room on the disks: how much is left, what must wait for it, and which errors say that there is none.

Bulk work (imports, trainings, exports) waits while less than the reserve (MEKIKI_RESERVE_MB) is free, so that the rows of
answers can still be stored. The supervisor keeps a part of the disk occupied by a file that it gives up in need
(embedded/ballast.py).
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mekiki.config import env

FULL, READ_ONLY = "disk_full", "read_only"
# PostgreSQL's own word for a full disk.
DISK_FULL_STATE = "53100"
ERRORS = {errno.ENOSPC: FULL, errno.EDQUOT: FULL, errno.EROFS: READ_ONLY}


@dataclass(frozen=True)
class Place:
    """A folder that is written to, and the disk it lies on. problem: "", FULL (below the reserve) or READ_ONLY."""

    name: str  # files, database or home
    folder: Path
    free: int
    total: int
    problem: str


class NoRoomError(OSError):
    """Work must wait: `reason` is FULL or READ_ONLY. Nothing was written."""

    def __init__(self, reason: str) -> None:
        number = errno.EROFS if reason == READ_ONLY else errno.ENOSPC
        super().__init__(number, os.strerror(number))
        self.reason = reason


def reserve() -> int:
    """The bytes that bulk work leaves free."""
    return env.number("MEKIKI_RESERVE_MB") * 1024 * 1024


def places() -> list[Place]:
    """The folders of this home that are written to. A database that runs elsewhere is not among them."""
    home = env.home()
    folders = {"files": home / "files", "home": home}
    if not env.text("DATABASE_URL") or (home / "postgres").exists():
        folders["database"] = (home / "postgres").resolve()
    places_of_data = []
    for name, folder in folders.items():
        place = next((parent for parent in (folder, *folder.parents) if os.path.exists(parent)), folder)  # noqa: PTH110
        places_of_data.append(_place(name, place))
    return places_of_data


def _place(name: str, folder: Path) -> Place:
    try:
        state = os.statvfs(folder)
    except OSError:  # a network disk that is gone
        return Place(name, folder, 0, 0, READ_ONLY)
    free, total = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
    problem = ""
    # The database is the server's to write, under a user of its own for root.
    if state.f_flag & os.ST_RDONLY or (name != "database" and not os.access(folder, os.W_OK)):
        problem = READ_ONLY
    elif free < reserve():
        problem = FULL
    return Place(name, folder, free, total, problem)


def shortage() -> str:
    """Why bulk work must wait now: FULL, READ_ONLY, or "" when it need not."""
    return next((place.problem for place in places() if place.problem), "")


def require_room() -> None:
    """NoRoomError when bulk work must wait: to be called before it begins."""
    if reason := shortage():
        raise NoRoomError(reason)


def no_room(error: BaseException) -> str:
    """FULL or READ_ONLY where an error, or what caused it, says so; else ""."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in ERRORS:
            return ERRORS[cause.errno]
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
