"""Read zips that may be malicious. Nothing is unpacked to the disk.

The number of entries, the unpacked size (counted while reading) and the compression ratio are limited.
"""

import contextlib
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import inflate64

from mekiki.config.regular_files import open_regular
from mekiki.datasets.importing import names
from mekiki.datasets.problems import ProblemError

# Image formats are compressed already. Even blank BMPs rarely shrink this much on average.
MAX_RATIO = 100
_RATIO_MATTERS_FROM = 64 * 1024 * 1024  # bytes unpacked
# Problems of an entry that end the whole archive.
ENDING = {"archive_bomb", "archive_too_big"}
_STEP = 256 * 1024
# Maximum bytes of the central directory for each permitted entry: 46 are fixed, the others are for the name
# and extra fields.
_DIRECTORY_BYTES_PER_ENTRY = 400
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
# File endings of the parts of a split zip.
_VOLUME = re.compile(r"\.(z\d\d|\d{3})$", re.IGNORECASE)
HEAD_BYTES = 512  # first bytes of a file that is_zip and other_archive_kind need
# (offset, bytes, name) of archives that are refused.
_OTHERS = (
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "RAR"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"MSCF\x00\x00\x00\x00", "CAB"),
    (2, b"-lh", "LZH"),
    (257, b"ustar", "tar"),
)
# First bytes of self-extracting archives: a program with a zip behind it.
_PROGRAMS = (b"MZ", b"\x7fELF", b"#!")
DEFLATE64 = 9
# Methods of the standard library, and Deflate64 through inflate64.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, DEFLATE64, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
# PKWARE APPNOTE 4.4.5
_METHOD_NAMES = {
    1: "Shrink",
    6: "Implode",
    10: "PKWARE Implode",
    18: "IBM TERSE",
    19: "IBM LZ77",
    93: "Zstandard",
    94: "MP3",
    95: "XZ",
    96: "JPEG",
    97: "WavPack",
    98: "PPMd",
    99: "AES",
}


@dataclass(frozen=True)
class Limits:
    """Limits for one import: bytes of a file, bytes of an archive, number of entries, pixels of an image."""

    file_bytes: int
    archive_bytes: int
    archive_files: int
    pixels: int


def is_zip(head: bytes) -> bool:
    """Return whether these first bytes begin a zip."""
    return head.startswith(_ZIP_MAGICS)


def other_archive_kind(head: bytes) -> str:
    """Return the kind of archive, other than a zip, that begins with these bytes, or ""."""
    return next((name for at, magic, name in _OTHERS if head[at : at + len(magic)] == magic), "")


def contains_zip(head: bytes, file: BinaryIO) -> bool:
    """Return whether an open file is a zip, or a program with a zip behind it.

    `head`: its first HEAD_BYTES.
    """
    return is_zip(head) or (head.startswith(_PROGRAMS) and zipfile.is_zipfile(file))


class Archive:
    """An open zip. Use it as a context manager.

    On entry it raises ProblemError with one of the codes archive_damaged, archive_cut, archive_split,
    archive_empty, archive_too_big, archive_too_many, archive_bomb. All checks use only the directory, before
    any entry is read. A refused archive therefore leaves nothing behind.
    """

    def __init__(self, path: Path, limits: Limits, name: str = "") -> None:
        """Store the arguments. The file is opened on entry.

        `name`: the name of the archive as it was sent, which shows whether it is a part of a split zip.
        """
        self._path = path
        self._limits = limits
        self._is_part = _VOLUME.search(name or path.name) is not None
        self._unpacked = 0
        self.size = 0

    def __enter__(self) -> "Archive":
        with contextlib.ExitStack() as opened:
            try:
                self._file = opened.enter_context(open_regular(self._path, follow_links=False))
                self.size = os.fstat(self._file.fileno()).st_size
                if self.size > self._limits.archive_bytes:
                    raise ProblemError("archive_too_big", limit=self._limits.archive_bytes)
                directory = self._directory_bytes()
                if directory > self._limits.archive_files * _DIRECTORY_BYTES_PER_ENTRY:
                    raise ProblemError("archive_too_many", limit=self._limits.archive_files)
                file = cast(BinaryIO, names.ZipWithValidNameFlags(self._file))
                self._zip = opened.enter_context(zipfile.ZipFile(file))
            except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError, EOFError):
                raise ProblemError("archive_damaged") from None
            self._judge()
            self.names = names.ZipNames(self._zip.infolist())
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

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
        """Yield (name as sent, entry) of every file. Entries of folders are left out."""
        for info in self._zip.infolist():
            name = self.names.of(info)
            if not name.replace("\\", "/").endswith("/"):
                yield name, info

    def read(self, name: str, info: zipfile.ZipInfo) -> bytes:
        """Return the bytes of an entry. Raises the same errors as `pieces`."""
        data = bytearray()
        for piece in self.pieces(name, info):
            data += piece
        return bytes(data)

    def pieces(self, name: str, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the bytes of an entry in pieces.

        Raises ProblemError with the reason if the entry is refused, at the latest after the last piece. The
        codes archive_bomb and archive_too_big end the whole archive, because its entries have more bytes than
        its directory states.
        """
        names.check_entry_path(name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ProblemError("symlink")
        if info.flag_bits & 0x1:
            raise ProblemError("encrypted")
        if info.compress_type not in _METHODS:
            method = _METHOD_NAMES.get(info.compress_type, str(info.compress_type))
            raise ProblemError("compression_unknown", format=method)
        if info.file_size > self._limits.file_bytes:
            raise ProblemError("too_large", limit=self._limits.file_bytes)
        head, size = b"", 0
        try:
            with self._open(info) as pieces:
                for piece in pieces:
                    head += piece[: HEAD_BYTES - len(head)]
                    size += len(piece)
                    self._unpacked += len(piece)
                    # The check uses the counted bytes, not the number that the directory states.
                    self._check_size(self._unpacked)
                    if size > self._limits.file_bytes:
                        raise ProblemError("too_large", limit=self._limits.file_bytes)
                    yield piece
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            MemoryError,  # LZMA reserves a dictionary of the size in its header, up to 4 GB
            EOFError,
            OSError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ):
            raise ProblemError("entry_damaged") from None
        if is_zip(head):
            raise ProblemError("nested_archive")
        if kind := other_archive_kind(head):
            raise ProblemError("archive_kind", format=kind)

    @contextlib.contextmanager
    def _open(self, info: zipfile.ZipInfo) -> Iterator[Iterator[bytes]]:
        """Yield the unpacked pieces of an entry. Its checksum is compared at the end."""
        if info.compress_type == DEFLATE64:
            yield _inflate64(self._file, info)
        else:
            with self._zip.open(info) as entry:
                yield iter(lambda: entry.read(_STEP), b"")

    def _directory_bytes(self) -> int:
        """Return the length of the central directory (PKWARE APPNOTE 4.3.14–4.3.16).

        It is read before zipfile loads the whole directory.
        """
        file = self._file
        tail = min(self.size, 22 + 65535)
        file.seek(self.size - tail)
        end = file.read(tail)
        at = end.rfind(b"PK\x05\x06")
        if at < 0:
            file.seek(0)
            split = self._is_part or file.read(4) == b"PK\x07\x08"
            raise ProblemError("archive_split" if split else "archive_cut")
        disk, first_disk = struct.unpack_from("<HH", end, at + 4)
        if (disk, first_disk) not in {(0, 0), (0xFFFF, 0xFFFF)}:
            raise ProblemError("archive_split")
        length: int
        (length,) = struct.unpack_from("<L", end, at + 12)
        if length == 0xFFFFFFFF:  # zip64: the locator directly before points to the real record
            if at < 20 or end[at - 20 : at - 16] != b"PK\x06\x07":
                raise zipfile.BadZipFile
            (where,) = struct.unpack_from("<Q", end, at - 12)
            file.seek(where)
            record = file.read(56)
            if record[:4] != b"PK\x06\x06":
                raise zipfile.BadZipFile
            (length,) = struct.unpack_from("<Q", record, 40)
        return length


def _inflate64(file: BinaryIO, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the pieces of a Deflate64 entry. Raises BadZipFile if it is damaged.

    Windows uses Deflate64 in zips above 2 GB, and zipfile cannot read it.
    """
    file.seek(info.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile
    file.seek(sum(struct.unpack_from("<HH", header, 26)), os.SEEK_CUR)
    inflater = inflate64.Inflater()
    left, checksum, size = info.compress_size, 0, 0
    while left > 0 and size < info.file_size:
        # Small pieces limit how much one call can unpack.
        packed = file.read(min(left, 4096))
        if not packed:
            break
        left -= len(packed)
        piece = inflater.inflate(packed)
        checksum = zlib.crc32(piece, checksum)
        size += len(piece)
        yield piece
    if size != info.file_size or checksum != info.CRC:
        raise zipfile.BadZipFile
