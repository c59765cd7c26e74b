"""Walking a zip that may mean harm: bounded in number, in size by counting, in ratio; nothing is unpacked to disk."""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mekiki.datasets.importing import names
from mekiki.datasets.problems import ProblemError

# Image formats are compressed already. Even blank BMPs rarely shrink this much on average.
MAX_RATIO = 100
_RATIO_MATTERS_FROM = 64 * 1024 * 1024  # bytes unpacked
_STEP = 256 * 1024
# Central directory bytes allowed per permitted entry: 46 fixed, the rest for the name and extra fields.
_DIRECTORY_BYTES_PER_ENTRY = 400
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


@dataclass(frozen=True)
class Limits:
    """Bounds on what one import may bring: bytes of a file, bytes of an archive, entries, pixels."""

    file_bytes: int
    archive_bytes: int
    archive_files: int
    pixels: int


def is_zip(head: bytes) -> bool:
    """Do these first bytes begin a zip?"""
    return head.startswith(_ZIP_MAGICS)


class Archive:
    """An open zip. Use as a context manager.

    ProblemError on entering: archive_damaged, archive_empty, archive_too_big, archive_too_many, archive_bomb.
    All are judged from the directory, before any entry is read, so a refused archive leaves nothing behind.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        self._unpacked = 0
        self.size = path.stat().st_size

    def __enter__(self) -> "Archive":
        if self.size > self._limits.archive_bytes:
            raise ProblemError("archive_too_big", limit=self._limits.archive_bytes)
        try:
            with self._path.open("rb") as file:
                directory = _directory_bytes(file, self.size)
            if directory > self._limits.archive_files * _DIRECTORY_BYTES_PER_ENTRY:
                raise ProblemError("archive_too_many", limit=self._limits.archive_files)
            self._zip = zipfile.ZipFile(self._path)
        except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError, EOFError):
            raise ProblemError("archive_damaged") from None
        try:
            self._judge()
        except BaseException:
            self._zip.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _judge(self) -> None:
        entries = self._zip.infolist()
        if not entries:
            raise ProblemError("archive_empty")
        if len(entries) > self._limits.archive_files:
            raise ProblemError("archive_too_many", limit=self._limits.archive_files)
        self._check_size(sum(e.file_size for e in entries))

    def _check_size(self, unpacked: int) -> None:
        if unpacked > _RATIO_MATTERS_FROM and unpacked > MAX_RATIO * self.size:
            raise ProblemError("archive_bomb")
        if unpacked > self._limits.archive_bytes:
            raise ProblemError("archive_too_big", limit=self._limits.archive_bytes)

    def entries(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        """(name as sent, entry) of every file; folders and what operating systems leave are passed over."""
        for info in self._zip.infolist():
            name = names.of_entry(info)
            if not name.replace("\\", "/").endswith("/") and not names.ignorable(name):
                yield name, info

    def read(self, name: str, info: zipfile.ZipInfo) -> bytes:
        """The entry's bytes. ProblemError names why it is not taken.

        archive_bomb and archive_too_big end the archive: its entries held more than its directory claims.
        """
        names.check_entry_path(name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ProblemError("symlink")
        if info.flag_bits & 0x1:
            raise ProblemError("encrypted")
        if info.file_size > self._limits.file_bytes:
            raise ProblemError("too_large", limit=self._limits.file_bytes)
        data = bytearray()
        try:
            with self._zip.open(info) as file:
                while piece := file.read(_STEP):
                    data += piece
                    self._unpacked += len(piece)
                    # What is counted, not what the directory claims.
                    self._check_size(self._unpacked)
                    if len(data) > self._limits.file_bytes:
                        raise ProblemError("too_large", limit=self._limits.file_bytes)
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            MemoryError,  # LZMA reserves the dictionary its header asks for, up to 4 GB
            EOFError,
            OSError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ):
            raise ProblemError("entry_damaged") from None
        if is_zip(bytes(data[:4])):
            raise ProblemError("nested_archive")
        return bytes(data)


def _directory_bytes(file: BinaryIO, size: int) -> int:
    """Length of the central directory (PKWARE APPNOTE 4.3.14–4.3.16), read before zipfile loads all of it."""
    tail = min(size, 22 + 65535)
    file.seek(size - tail)
    end = file.read(tail)
    at = end.rfind(b"PK\x05\x06")
    if at < 0:
        raise zipfile.BadZipFile
    length: int
    (length,) = struct.unpack_from("<L", end, at + 12)
    if length == 0xFFFFFFFF:  # zip64: the locator, just before, points to the real record
        if at < 20 or end[at - 20 : at - 16] != b"PK\x06\x07":
            raise zipfile.BadZipFile
        (where,) = struct.unpack_from("<Q", end, at - 12)
        file.seek(where)
        record = file.read(56)
        if record[:4] != b"PK\x06\x06":
            raise zipfile.BadZipFile
        (length,) = struct.unpack_from("<Q", record, 40)
    return length
