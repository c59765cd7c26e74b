"""Entries of a manifest: its rows, with the bytes of the file that each row names.

A row names a file by its path below a folder of the server, or by its address (http, https). Rows are read
one by one, so that memory stays flat.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO

from mekiki.config.regular_files import open_regular
from mekiki.datasets.importing import fetching, names
from mekiki.datasets.importing.archives import Limits
from mekiki.datasets.importing.entries import Entry
from mekiki.datasets.importing.manifests import choosing
from mekiki.datasets.importing.manifests.rows import BadRow, Line, ManifestRow, ReadOptions
from mekiki.datasets.importing.metadata import Tables
from mekiki.datasets.problems import ProblemError

# Files that are fetched at the same time. Each may have the bytes of the largest file.
FETCHES = 8
_WAITING = 2 * FETCHES  # rows that are read ahead


@dataclass(frozen=True)
class ManifestFile:
    """A manifest on this machine's disk.

    root: the folder that the paths of the rows start from, or None if rows may only have addresses. networks:
    networks that addresses may lead to although they are not public.
    """

    path: Path
    label: str
    root: Path | None = None
    networks: tuple[fetching.Network, ...] = ()

    def open(self) -> BinaryIO:
        """Return the manifest, open at its beginning."""
        return open_regular(self.path)


class ManifestReader:
    """One walk over the rows of a manifest, as an entries.Reader. It begins after the row `skip`."""

    def __init__(self, source: ManifestFile, limits: Limits, options: ReadOptions, *, skip: int = 0) -> None:
        self._source, self._limits, self._options, self._skip = source, limits, options, skip
        self._fetcher = fetching.Fetcher(source.networks, limits.file_bytes)
        self.tables: list[Tables] = []
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Stop the fetches that have not begun."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    @cached_property
    def total(self) -> int:
        """Return the number of rows. It may be a little too high, or 0 if it is unknown."""
        try:
            return choosing.choose(self._source.open, self._source.label).count()
        except (ProblemError, OSError):
            return 0

    def __iter__(self) -> Iterator[Entry]:
        """Yield an entry for every row, in their order."""
        waiting: deque[tuple[int, ManifestRow, Future[bytes] | None]] = deque()
        for position, row in enumerate(self._rows(), 1):
            if position <= self._skip:
                continue
            if isinstance(row, BadRow):
                while waiting:
                    yield self._entry(*waiting.popleft())
                where = f"{self._source.label} ({row.line})" if row.line else self._source.label
                yield Entry(where, problem=_refused(row.problem), position=position)
                continue
            waiting.append((position, row, self._fetch(row.location)))
            if len(waiting) >= (_WAITING if self._pool is not None else 1):
                yield self._entry(*waiting.popleft())
        while waiting:
            yield self._entry(*waiting.popleft())

    def _rows(self) -> Iterator[ManifestRow | BadRow]:
        """Yield the rows. A manifest that cannot be read further ends with a line of the report."""
        try:
            yield from choosing.choose(self._source.open, self._source.label).rows(self._options)
        except ProblemError as problem:
            yield BadRow(0, problem)
        except OSError:
            yield BadRow(0, ProblemError("unreadable"))

    def _fetch(self, location: str) -> "Future[bytes] | None":
        if not fetching.is_address(location):
            return None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")
        return self._pool.submit(self._fetcher.fetch, location)

    def _entry(self, position: int, row: ManifestRow, fetched: "Future[bytes] | None") -> Entry:
        location = row.location if fetched is None else fetching.name_of_address(row.location)
        name = names.readable_name(location)
        where = f"{self._source.label} ({row.line}): {name}"
        try:
            data = fetched.result() if fetched is not None else self._read(row.location)
        except ProblemError as problem:
            return Entry(name, problem=problem, where=where, position=position)
        return Entry(name, data, metadata=row.values, where=where, labels=row.labels, position=position)

    def _read(self, location: str) -> bytes:
        """Return the bytes of a file below the root.

        Raises ProblemError with one of the codes manifest_no_folder, unsafe_path, symlink, special_file,
        manifest_file_missing, too_large and unreadable.
        """
        if self._source.root is None:
            raise ProblemError("manifest_no_folder")
        with open_below(self._source.root, location) as file:
            size = os.fstat(file.fileno()).st_size
            if size > self._limits.file_bytes:
                raise ProblemError("too_large", limit=self._limits.file_bytes)
            try:
                return file.read(size)
            except OSError:
                raise ProblemError("unreadable") from None


def _refused(problem: Line) -> Line:
    """Return the report line of a row: a row that names no image was not imported at all."""
    is_lost = problem.code in {"manifest_row_unnamed", "manifest_row_unreadable"}
    return ProblemError(problem.code, **problem.detail) if is_lost else problem


def open_below(root: Path, location: str) -> BinaryIO:
    """Return a regular file below a folder, opened for reading. No link on the way is followed.

    Each folder is opened from the one before, so that a folder that becomes a link meanwhile leads nowhere.
    Raises ProblemError with one of the codes unsafe_path, symlink, special_file and manifest_file_missing.
    """
    path = location.replace("\\", "/")
    path = path.removeprefix(f"{root}/")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts or not parts or "\0" in path or ":" in parts[0][1:2]:
        raise ProblemError("unsafe_path")
    try:
        here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise ProblemError("manifest_file_missing") from None
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(part, flags, dir_fd=here)
            os.close(here)
            here = below
        opener = partial(os.open, dir_fd=here)
        kind = os.stat(parts[-1], dir_fd=here, follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            raise ProblemError("symlink")
        if not stat.S_ISREG(kind):
            raise ProblemError("special_file", format="device" if not stat.S_ISDIR(kind) else "folder")
        handle = opener(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        return os.fdopen(handle, "rb")
    except (OSError, ValueError) as error:
        # A link in place of a folder (O_DIRECTORY with O_NOFOLLOW) or of the file.
        is_link = isinstance(error, OSError) and error.errno in {errno.ELOOP, errno.ENOTDIR}
        raise ProblemError("symlink" if is_link else "manifest_file_missing") from None
    finally:
        os.close(here)
