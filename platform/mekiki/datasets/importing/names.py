"""Names of files as people sent them: made readable, checked, never used as paths."""

import re
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from mekiki.datasets.importing import encodings
from mekiki.datasets.problems import Note, ProblemError

MAX_NAME = 4096  # characters kept of a name; the end is what tells files apart
_SYSTEM_FILES = {".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db", "ehthumbs_vista.db", ".localized"}
# Folders that operating systems, NAS devices and tools keep for themselves (docs/reference/import.md). Those whose
# name begins with a dot are passed over without being named here.
SYSTEM_FOLDERS = {
    *("__macosx", "$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"),
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "@sharesnap"),
    *("@__thumb", "@trash", "trashbox", "network recycle bin"),
    *("~snapshot", "network trash folder", "temporary items", "thedbapfolder", "__pycache__"),
}
_UP_FIELD = 0x7075  # Info-ZIP Unicode Path
_DIRECTORY = b"PK\x01\x02"  # before each entry of the directory of a zip
_LOCAL = b"PK\x03\x04"  # before the entry itself
_UTF8 = 0x800  # the flag of an entry whose name is UTF-8


def readable(name: str) -> str:
    """A name fit for a screen: composed characters (NFC), forward slashes, bounded. Nothing is deleted.

    Control characters, direction overrides (which make "gpj.exe" read as "exe.jpg") and bytes that no encoding
    reads are shown as <U+202E> and <0x95>.
    """
    name = escaped(unicodedata.normalize("NFC", name.replace("\\", "/"))).removeprefix("./")
    name = name or "unnamed"
    return name if len(name) <= MAX_NAME else "…" + name[1 - MAX_NAME :]


def escaped(text: str) -> str:
    """The text with characters that a screen or a database cannot show written as <U+202E> or <0x95>."""
    if text.isprintable():
        return text
    return "".join(_shown(c) for c in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return character
    code = ord(character)
    return f"<0x{code - 0xDC00:02X}>" if 0xDC80 <= code <= 0xDCFF else f"<U+{code:04X}>"


def folder_passed_over(name: str) -> str:
    """The path of the first folder in `name` that systems keep for themselves; empty: there is none."""
    parts = PurePosixPath(name.replace("\\", "/")).parts[:-1]
    for at, part in enumerate(parts):
        if is_system_folder(part):
            return "/".join(parts[: at + 1])
    return ""


def is_system_folder(part: str) -> bool:
    """Is this the name of a folder that an operating system, a NAS or a tool keeps for itself?"""
    part = part.lower()
    return part in SYSTEM_FOLDERS or part.startswith(".@__") or re.match(r"\.(?!\.)[^/]", part) is not None


def system_file(name: str) -> str:
    """What kind of file an operating system left there ("._*", "thumbs.db"); empty: it is none."""
    bare = name.replace("\\", "/").rsplit("/", 1)[-1].lower()
    if bare.startswith("._"):
        return "._*"
    return bare if bare in _SYSTEM_FILES else ""


def is_passed_over(name: str) -> bool:
    """Does the file lie in a folder that systems keep for themselves, or is it one of their own files?"""
    return bool(folder_passed_over(name) or system_file(name))


class PassedOver:
    """Counts the files that are passed over, for a report with one line a folder."""

    def __init__(self) -> None:
        self._folders: Counter[str] = Counter()
        self._files: Counter[str] = Counter()

    def takes(self, name: str) -> bool:
        """Count the file if it is passed over. Returns whether it is."""
        if folder := folder_passed_over(name):
            self._folders[folder] += 1
            return True
        if kind := system_file(name):
            self._files[kind] += 1
            return True
        return False

    def notes(self, prefix: str = "") -> Iterator[tuple[str, Note]]:
        """(name, line of the report)."""
        for folder, count in self._folders.items():
            yield prefix + readable(folder), Note("folder_passed_over", "skipped", {"count": count})
        for kind, count in self._files.items():
            yield prefix + kind, Note("system_files", "skipped", {"count": count})


def check_entry_path(name: str) -> None:
    """ProblemError("unsafe_path") for a name in an archive that leads out of it: "..", absolute, a drive letter."""
    flat = name.replace("\\", "/")
    parts = flat.split("/")
    if flat.startswith("/") or ".." in parts or (len(parts[0]) == 2 and parts[0][1] == ":"):
        raise ProblemError("unsafe_path")


class UncheckedFlags:
    """An open zip as `zipfile.ZipFile` reads it, with the UTF-8 flag cleared where the name is not UTF-8.

    zipfile refuses a whole archive for one such flag. Names without the flag are read by `ZipNames`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        """Read as the file does: zipfile reads the directory at once, and the header of an entry without its name."""
        data = self._file.read(size)
        if data.startswith(_DIRECTORY):
            return _flags_cleared(data)
        if data.startswith(_LOCAL) and size == len(data) == 30:
            at = self._file.tell()
            flags, length = (*struct.unpack_from("<H", data, 6), *struct.unpack_from("<H", data, 26))
            if flags & _UTF8 and not _is_utf8(self._file.read(length)):
                data = data[:6] + struct.pack("<H", flags & ~_UTF8) + data[8:]
            self._file.seek(at)
        return data


def _flags_cleared(directory: bytes) -> bytes:
    cleared, at = bytearray(directory), 0
    while directory[at : at + 4] == _DIRECTORY and at + 46 <= len(directory):
        (flags,) = struct.unpack_from("<H", directory, at + 8)
        name, extra, comment = struct.unpack_from("<HHH", directory, at + 28)
        if flags & _UTF8 and not _is_utf8(directory[at + 46 : at + 46 + name]):
            struct.pack_into("<H", cleared, at + 8, flags & ~_UTF8)
        at += 46 + name + extra + comment
    return bytes(cleared)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class ZipNames:
    """The names of a zip's entries. `encoding`: what names without the UTF-8 flag are in; `guessed`: how many.

    First the Unicode Path field (0x7075) where its checksum fits the name, then the UTF-8 flag, else one encoding
    for the whole archive.
    """

    def __init__(self, entries: Iterable[zipfile.ZipInfo]) -> None:
        raw = [
            _raw(info)
            for info in entries
            if not info.flag_bits & _UTF8 and not info.orig_filename.isascii() and _unicode_path(info) is None
        ]
        self.guessed = len(raw)
        self.encoding = encodings.choose(raw, encodings.OF_ARCHIVES)

    def of(self, info: zipfile.ZipInfo) -> str:
        """The name of one entry."""
        name = _unicode_path(info)
        if name is not None:
            return name
        if info.flag_bits & _UTF8 or info.orig_filename.isascii():
            return info.orig_filename
        return encodings.decode(_raw(info), self.encoding)


def _raw(info: zipfile.ZipInfo) -> bytes:
    """The bytes of the name: zipfile reads names without the UTF-8 flag as cp437, which maps every byte."""
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437", "surrogateescape")


def _unicode_path(info: zipfile.ZipInfo) -> str | None:
    extra, at = info.extra, 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + length]
        # A checksum of the plain name; another one means that the entry was renamed since.
        fits = len(field) > 5 and field[0] == 1 and field[1:5] == struct.pack("<L", zlib.crc32(_raw(info)))
        if kind == _UP_FIELD and fits:
            try:
                return field[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
        at += 4 + length
    return None
