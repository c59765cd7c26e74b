"""The zip format of a label set: a writer of canonical zips, and a reader that accepts no other zips.

Names are plain ASCII, times and permissions are fixed, entries have no gaps between them, and there are no
bytes before or after the zip. A reader can therefore rebuild every header from names, sizes and checksums and
require exactly these bytes. A changed byte can hide only in the slack of a compressed stream, and the
contents of that stream are hashed. Python's own writer is not used, because its headers differ between its
versions.

Source: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
"""

import contextlib
import hashlib
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

STORED = zipfile.ZIP_STORED
PACKED = zipfile.ZIP_DEFLATED
# Limits for a reader that has not verified anything yet.
MAX_ENTRIES = 4_000_000
MAX_DIRECTORY_BYTES = 1 << 30

_VERSION = 45  # the version that zip64 requires
_UNIX = 3
_RIGHTS = 0o100644 << 16
_DATE = (0 << 9) | (1 << 5) | 1  # 1980-01-01, the earliest a zip can hold
_FULL = 0xFFFFFFFF

_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_64 = struct.Struct("<2H2Q")
_CENTRAL = struct.Struct("<4s2B5H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")


class NotOurArchiveError(Exception):
    """An error for a file that is no zip of this module. The text names the first difference."""


@dataclass
class Entry:
    """A file in the archive. Sizes are in bytes, and `offset` is the position of its header."""

    name: str
    method: int
    crc: int
    packed_size: int
    size: int
    offset: int
    sha256: str = ""  # of the contents; known to the writer only

    def local_header(self) -> bytes:
        """Return the header before the contents.

        The sizes are always in the zip64 field, because they are unknown when the header is written.
        """
        name = self.name.encode("ascii")
        head = _LOCAL.pack(
            b"PK\x03\x04",
            _VERSION,
            0,
            self.method,
            0,
            _DATE,
            self.crc,
            _FULL,
            _FULL,
            len(name),
            _LOCAL_64.size,
        )
        return head + name + _LOCAL_64.pack(1, 16, self.size, self.packed_size)

    def directory_entry(self) -> bytes:
        """Return the record in the central directory. Values above 32 bits are in a zip64 field."""
        name = self.name.encode("ascii")
        big = [n for n in (self.size, self.packed_size, self.offset) if n >= _FULL]
        extra = struct.pack(f"<2H{len(big)}Q", 1, 8 * len(big), *big) if big else b""
        head = _CENTRAL.pack(
            b"PK\x01\x02",
            _VERSION,
            _UNIX,
            _VERSION,
            0,
            self.method,
            0,
            _DATE,
            self.crc,
            min(self.packed_size, _FULL),
            min(self.size, _FULL),
            len(name),
            len(extra),
            0,
            0,
            0,
            _RIGHTS,
            min(self.offset, _FULL),
        )
        return head + name + extra


def end_records(count: int, size: int, offset: int) -> bytes:
    """Return the end of an archive: directory of `count` entries and `size` bytes, starting at `offset`."""
    end = b""
    if count >= 0xFFFF or size >= _FULL or offset >= _FULL:
        end = _END_64.pack(b"PK\x06\x06", 44, _VERSION, _VERSION, 0, 0, count, count, size, offset)
        end += _LOCATOR_64.pack(b"PK\x06\x07", 0, offset + size, 1)
    short = min(count, 0xFFFF)
    return end + _END.pack(b"PK\x05\x06", 0, 0, short, short, min(size, _FULL), min(offset, _FULL), 0)


class Sink:
    """A writer for the contents of one entry, piece by piece."""

    def __init__(self, file: BinaryIO, packed: bool) -> None:
        self._file = file
        self._packer = zlib.compressobj(6, zlib.DEFLATED, -15) if packed else None
        self._hash = hashlib.sha256()
        self.crc = self.size = self.packed_size = 0

    def write(self, piece: bytes) -> None:
        """Append to the contents."""
        self.crc = zlib.crc32(piece, self.crc)
        self.size += len(piece)
        self._hash.update(piece)
        self._put(self._packer.compress(piece) if self._packer else piece)

    def close(self) -> str:
        """Finish the contents; return their SHA-256. More calls have no effect."""
        if self._packer:
            self._put(self._packer.flush())
            self._packer = None
        return self._hash.hexdigest()

    def _put(self, piece: bytes) -> None:
        self._file.write(piece)
        self.packed_size += len(piece)


class Writer:
    """A writer of an archive to a seekable file, entry by entry. Only the directory is in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.entries: list[Entry] = []

    @contextlib.contextmanager
    def entry(self, name: str, *, packed: bool = False) -> Iterator[Sink]:
        """Yield a Sink for the contents of a new entry. Raises ValueError if the name is not plain ASCII."""
        if not name.isascii():
            raise ValueError(f"{name!r} is not plain ASCII.")
        new = Entry(name, PACKED if packed else STORED, 0, 0, 0, self._file.tell())
        self._file.write(new.local_header())
        sink = Sink(self._file, packed)
        yield sink
        new.sha256 = sink.close()
        new.crc, new.size, new.packed_size = sink.crc, sink.size, sink.packed_size
        end = self._file.tell()
        self._file.seek(new.offset)
        self._file.write(new.local_header())
        self._file.seek(end)
        self.entries.append(new)

    def append(self, name: str, sink: Sink, packed: BinaryIO) -> None:
        """Append an entry that was compressed elsewhere: a closed Sink, and the file that it wrote."""
        entry = Entry(name, PACKED, sink.crc, sink.packed_size, sink.size, self._file.tell(), sink.close())
        self._file.write(entry.local_header())
        packed.seek(0)
        shutil.copyfileobj(packed, self._file, 1 << 20)
        self.entries.append(entry)

    def add(self, name: str, contents: bytes) -> None:
        """Append a small entry without compression."""
        with self.entry(name) as sink:
            sink.write(contents)

    def finish(self) -> None:
        """Write the directory."""
        offset = self._file.tell()
        for entry in self.entries:
            self._file.write(entry.directory_entry())
        size = self._file.tell() - offset
        self._file.write(end_records(len(self.entries), size, offset))
        self._file.flush()


def open_checked(file: BinaryIO) -> zipfile.ZipFile:
    """Open an archive of `Writer`. The contents of the files are not read.

    Raises NotOurArchiveError if anything except file contents differs from what `Writer` writes. The function
    reads only headers, and checks their numbers against limits first.
    """
    length = file.seek(0, 2)
    file.seek(max(0, length - _END.size - _LOCATOR_64.size - _END_64.size))
    tail = file.read()
    if len(tail) < _END.size or tail[-_END.size : -_END.size + 4] != b"PK\x05\x06":
        raise NotOurArchiveError("it does not end as a zip ends")
    count, size = struct.unpack_from("<HL", tail, len(tail) - _END.size + 10)
    if len(tail) == _END.size + _LOCATOR_64.size + _END_64.size and tail.startswith(b"PK\x06\x06"):
        count, size = struct.unpack_from("<QQ", tail, 32)
    if count > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
        raise NotOurArchiveError(f"it claims {count} files")
    try:
        archive = zipfile.ZipFile(file)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        OverflowError,
        struct.error,
        OSError,
    ) as error:
        raise NotOurArchiveError(str(error)) from None
    try:
        _check_headers(file, archive, length)
    except BaseException:
        archive.close()
        raise
    return archive


def _check_headers(file: BinaryIO, archive: zipfile.ZipFile, length: int) -> None:
    """Check that every byte outside the contents is the byte that `Writer` would have written."""
    at = 0
    directory = hashlib.sha256()
    size = 0
    for info in archive.infolist():
        name = info.filename
        # zipfile cuts a name at a NUL byte. The comparison of the directory shows such a cut too.
        if info.orig_filename != name or not name.isascii():
            raise NotOurArchiveError(f"{name[:100]!r} is no name of a label set's file")
        if info.compress_type not in (STORED, PACKED):
            raise NotOurArchiveError(f"{name[:100]!r} is packed by an unknown method")
        entry = Entry(
            name, info.compress_type, info.CRC, info.compress_size, info.file_size, info.header_offset
        )
        header = entry.local_header()
        file.seek(at)
        if info.header_offset != at or file.read(len(header)) != header:
            raise NotOurArchiveError(f"the header of {name[:100]!r} is not as it was written")
        at += len(header) + info.compress_size
        record = entry.directory_entry()
        directory.update(record)
        size += len(record)
    directory.update(end_records(len(archive.infolist()), size, at))
    digest = hashlib.sha256()
    file.seek(at)
    while piece := file.read(1 << 20):
        digest.update(piece)
    if at > length or digest.digest() != directory.digest():
        raise NotOurArchiveError("its directory is not as it was written")
