"""Reads the files of a label set's zip, with limits from the zip itself."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

MAX_SMALL_BYTES = 1 << 26
# The largest ratio of unpacked to packed size. Label sets are far below it, and zip bombs far above.
MAX_RATIO = 200
# The exceptions that reading a damaged stream can raise.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)


class Watched(io.RawIOBase):
    """A stream of an entry's contents that hashes and counts them and stops after the limit.

    It reads one byte more than the limit, so that a longer entry is noticed.
    """

    def __init__(self, source: Any, limit: int) -> None:
        self._source = source
        self._limit = limit
        self.size = 0
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Implement io.RawIOBase.readinto."""
        piece = self._source.read(min(len(buffer), self._limit + 1 - self.size))
        self.size += len(piece)
        self.hash.update(piece)
        buffer[: len(piece)] = piece
        return len(piece)


class Entries:
    """The files of an archive. Each problem is passed to `bad`."""

    def __init__(self, archive: zipfile.ZipFile, bad: Callable[..., None]) -> None:
        self._archive = archive
        self.bad = bad
        self.infos: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            if info.filename in self.infos:
                self.bad("duplicate", name=info.filename)
            self.infos[info.filename] = info

    def stream(self, name: str, limit: int) -> Watched | None:
        """Return a stream of up to `limit` bytes of an entry, or None and a problem if it is unreadable."""
        info = self.infos[name]
        if info.file_size > MAX_RATIO * max(info.compress_size, 5000):
            self.bad("too_dense", name=name)
            return None
        try:
            return Watched(self._archive.open(info), limit)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            self.bad("broken", name=name)
            return None

    def read(self, name: str, limit: int) -> bytes | None:
        """Return the whole contents of a small entry, or None and a problem."""
        stream = self.stream(name, limit)
        try:
            return io.BufferedReader(stream).read() if stream is not None else None
        except DAMAGE:
            self.bad("broken", name=name)
            return None

    def file(self, name: str, what: dict[str, Any], *, keep: bool) -> bytes | None:
        """Check a listed file against the manifest; return its contents if `keep` is set and it is valid."""
        if name not in self.infos:
            self.bad("missing", name=name)
            return None
        if keep and what["size"] > MAX_SMALL_BYTES:
            self.bad("too_dense", name=name)
            return None
        stream = self.stream(name, what["size"])
        if stream is None:
            return None
        kept = []
        reader = io.BufferedReader(stream, 1 << 20)
        try:
            while piece := reader.read(1 << 20):
                if keep:
                    kept.append(piece)
        except DAMAGE:
            self.bad("broken", name=name)
            return None
        if not self.fits(name, what, stream):
            return None
        return b"".join(kept) if keep else None

    def fits(self, name: str, what: dict[str, Any], stream: Watched) -> bool:
        """Return whether the stream had the size and hash that the manifest states."""
        actual = self.infos[name].file_size
        if actual != what["size"] or stream.size != what["size"]:
            self.bad("size", name=name, found=actual, expected=what["size"])
            return False
        if stream.hash.hexdigest() != what["sha256"]:
            self.bad("hash", name=name)
            return False
        return True
