"""The file format of a backup: a plain tar, written in one pass. Its last entry lists SHA-256 sums.

    backup.json                       format, version of Mekiki, home, migrations, counts; the first entry
    database.dump                     pg_dump's custom format
    keys/ files/ incoming/ models/    as in the home
    SHA256SUMS                        as sha256sum writes it; the last entry

`tar xf FILE && sha256sum -c SHA256SUMS` checks the file without Mekiki. A restore uses only the Reader of
this module. The Reader accepts only regular files with the names above, so that no archive writes outside the
home or unpacks to more than its own size.
"""

import hashlib
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from gettext import gettext as _
from typing import BinaryIO, Protocol

from mekiki.config.plain import UnusableFileError

FORMAT = 1
HEADER, DUMP, SUMS = "backup.json", "database.dump", "SHA256SUMS"
FOLDERS = ("keys", "files", "incoming", "models")
MAX_HEADER_BYTES = 8 << 20
MAX_NAME_BYTES = 4096
_BLOCK = 512
_PIECE = 1 << 20
_END = bytes(_BLOCK)

Advance = Callable[[int], None]


class Source(Protocol):
    """The source of an entry's bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, or empty bytes at the end."""
        ...


class DamagedError(UnusableFileError):
    """The file is not a backup, or it was changed after it was written.

    The message says what was kept.
    """

    status = 1


def damaged_error(why: str) -> DamagedError:
    """Return the error for a damaged archive."""
    return DamagedError(
        _("The backup cannot be used: %(why)s. Nothing of it was kept. Use another backup.") % {"why": why}
    )


def duplicate_entry_error(name: str) -> DamagedError:
    """Return the error for an archive that holds an entry twice."""
    return damaged_error(_("it holds %(name)s twice") % {"name": safe_name(name)})


def sum_line(sha256: str, name: str) -> bytes:
    """Return a line of SHA256SUMS.

    Backslashes and line feeds in names are escaped as sha256sum does.
    """
    raw = os.fsencode(name)
    plain = raw.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
    return (b"\\" if plain != raw else b"") + sha256.encode() + b"  " + plain + b"\n"


def _tar_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


class Writer:
    """Writer of a backup into a seekable file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sums = tempfile.TemporaryFile()  # noqa: SIM115

    def add(self, name: str, source: Source, size: int | None, advance: Advance) -> str:
        """Copy `source` into one entry and return its SHA-256.

        If `size` is given, at most `size` bytes are copied, because a file may grow in the meantime.
        """
        start = self._file.tell()
        self._file.write(_tar_header(name, size or 0))
        digest, count = hashlib.sha256(), 0
        while piece := source.read(_PIECE if size is None else min(_PIECE, size - count)):
            digest.update(piece)
            self._file.write(piece)
            count += len(piece)
            advance(len(piece))
        self._file.write(bytes(-count % _BLOCK))
        if count != (size or 0):
            end = self._file.tell()
            self._file.seek(start)
            self._file.write(_tar_header(name, count))
            self._file.seek(end)
        self._sums.write(sum_line(digest.hexdigest(), name))
        return digest.hexdigest()

    def finish(self) -> None:
        """Write the list of sums and the end of the archive."""
        size = self._sums.tell()
        self._sums.seek(0)
        self._file.write(_tar_header(SUMS, size))
        while piece := self._sums.read(_PIECE):
            self._file.write(piece)
        self._file.write(bytes(-size % _BLOCK) + 2 * _END)
        self._sums.close()


@dataclass
class Entry:
    """One entry of a backup that is being read. `copy` must be called before the next entry."""

    name: str
    size: int
    _read: Callable[[int], bytes]
    sha256: str = ""

    def copy(self, write: Callable[[bytes], object], advance: Advance) -> None:
        """Pass all bytes to `write` and store their SHA-256.

        Raises DamagedError if the file ends early.
        """
        digest, left = hashlib.sha256(), self.size
        while left:
            piece = self._read(min(_PIECE, left))
            if not piece:
                raise damaged_error(_("it ends in the middle of %(name)s") % {"name": safe_name(self.name)})
            digest.update(piece)
            write(piece)
            left -= len(piece)
            advance(len(piece))
        self.sha256 = digest.hexdigest()

    def content(self, limit: int) -> bytes:
        """Return all bytes. Raises DamagedError if there are more than `limit` bytes."""
        if self.size > limit:
            raise damaged_error(_("%(name)s is too large") % {"name": safe_name(self.name)})
        pieces: list[bytes] = []
        self.copy(pieces.append, lambda _count: None)
        return b"".join(pieces)


class Reader:
    """Reader of a backup from beginning to end, which trusts nothing in the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._sums = tempfile.TemporaryFile()  # noqa: SIM115

    def entries(self) -> Iterator[Entry]:
        """Yield all entries except the list of sums, in order.

        At the end, all entries are compared with that list. Raises DamagedError if they differ.
        """
        first = True
        while True:
            entry = self._next()
            if first and entry.name != HEADER:
                raise damaged_error(_("it is no backup of Mekiki"))
            if not first and entry.name == HEADER:
                raise duplicate_entry_error(entry.name)
            first = False
            if entry.name == SUMS:
                self._compare(entry)
                return
            yield entry
            if not entry.sha256:
                raise RuntimeError(f"{entry.name} was not read")
            self._file.read(-entry.size % _BLOCK)
            self._sums.write(sum_line(entry.sha256, entry.name))

    def _next(self) -> Entry:
        info = self._header()
        name = info.name
        if info.type == tarfile.GNUTYPE_LONGNAME:
            if not 0 < info.size <= MAX_NAME_BYTES:
                raise damaged_error(_("a name in it is too long"))
            raw = self._file.read(info.size + -info.size % _BLOCK)[: info.size]
            name = os.fsdecode(raw.rstrip(b"\0"))
            info = self._header()
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise damaged_error(_("%(name)s is not a regular file") % {"name": safe_name(name)})
        if not is_allowed_name(name):
            raise damaged_error(
                _("it holds a file that does not belong to a backup: %(name)s") % {"name": safe_name(name)}
            )
        if not 0 <= info.size <= self._size - self._file.tell():
            raise damaged_error(_("it ends in the middle of %(name)s") % {"name": safe_name(name)})
        return Entry(name, info.size, self._file.read)

    def _header(self) -> tarfile.TarInfo:
        block = self._file.read(_BLOCK)
        if len(block) < _BLOCK or block == _END:
            raise damaged_error(_("its end is missing, or it is no backup of Mekiki"))
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise damaged_error(_("it is no backup of Mekiki, or damaged")) from None

    def _compare(self, sums: Entry) -> None:
        """Raise DamagedError with the name of the first entry that differs from the list of sums."""
        left = sums.size
        self._sums.seek(0)
        for expected in self._sums:
            piece = self._file.readline(min(left, MAX_NAME_BYTES * 2 + 80))
            left -= len(piece)
            if piece != expected:
                name = os.fsdecode(expected.rstrip(b"\n").split(b"  ", 1)[1])
                raise damaged_error(
                    _("%(name)s was changed or is not in the list") % {"name": safe_name(name)}
                )
        if left:
            raise damaged_error(_("files of its list are missing"))
        expected = bytes(-sums.size % _BLOCK) + 2 * _END
        if self._file.read(len(expected) + 1) != expected:
            raise damaged_error(_("the end of the file was changed"))


def is_allowed_name(name: str) -> bool:
    """Return whether an entry may have this name: relative, in a folder of the home, without “..”."""
    if name in (HEADER, DUMP, SUMS):
        return True
    parts = name.split("/")
    return len(parts) > 1 and parts[0] in FOLDERS and not {"", ".", ".."} & set(parts) and "\0" not in name


def safe_name(name: str) -> str:
    """Return a name from an untrusted file in a form that is safe for a terminal."""
    return re.sub(r"[^\w./ -]", "�", name.encode(errors="replace").decode())[:200]
