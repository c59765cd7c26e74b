"""Names of files as users sent them: made readable, checked, and never used as paths."""

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
from mekiki.datasets.problems import ProblemError, ReportLine

MAX_NAME = 4096  # characters kept of a name: its end, because the end distinguishes files
_SYSTEM_FILES = {".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db", "ehthumbs_vista.db", ".localized"}
# Folders that operating systems, NAS devices and tools keep for themselves (docs/reference/import.md).
# Folders with a name that begins with a dot are skipped too.
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


def readable_name(name: str) -> str:
    """Return a name for display: composed characters (NFC), forward slashes, limited length.

    Nothing is deleted. Control characters, direction overrides (which make "gpj.exe" look like "exe.jpg") and
    bytes that no encoding reads are shown as <U+202E> and <0x95>.
    """
    name = escape_unprintable(unicodedata.normalize("NFC", name.replace("\\", "/"))).removeprefix("./")
    name = name or "unnamed"
    return name if len(name) <= MAX_NAME else "…" + name[1 - MAX_NAME :]


def escape_unprintable(text: str) -> str:
    """Return the text with unprintable characters written as <U+202E> or <0x95>.

    A screen or a database may not be able to show these characters.
    """
    if text.isprintable():
        return text
    return "".join(_shown(c) for c in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return character
    code = ord(character)
    return f"<0x{code - 0xDC00:02X}>" if 0xDC80 <= code <= 0xDCFF else f"<U+{code:04X}>"


def system_folder_in(name: str) -> str:
    """Return the path of the first system folder in `name`, or "" if there is none."""
    parts = PurePosixPath(name.replace("\\", "/")).parts[:-1]
    for at, part in enumerate(parts):
        if is_system_folder(part):
            return "/".join(parts[: at + 1])
    return ""


def is_system_folder(part: str) -> bool:
    """Return whether an operating system, a NAS or a tool keeps a folder of this name for itself."""
    part = part.lower()
    return part in SYSTEM_FOLDERS or part.startswith(".@__") or re.match(r"\.(?!\.)[^/]", part) is not None


def system_file(name: str) -> str:
    """Return the kind of a file of an operating system ("._*", "thumbs.db"), or "" for other files."""
    bare = name.replace("\\", "/").rsplit("/", 1)[-1].lower()
    if bare.startswith("._"):
        return "._*"
    return bare if bare in _SYSTEM_FILES else ""


def is_skipped(name: str) -> bool:
    """Return whether the file is a system file or lies in a system folder."""
    return bool(system_folder_in(name) or system_file(name))


class SkippedFiles:
    """Counts of the skipped files, for a report with one line a folder."""

    def __init__(self) -> None:
        self._folders: Counter[str] = Counter()
        self._files: Counter[str] = Counter()

    def takes(self, name: str) -> bool:
        """Return whether the file is skipped, and count it if it is."""
        if folder := system_folder_in(name):
            self._folders[folder] += 1
            return True
        if kind := system_file(name):
            self._files[kind] += 1
            return True
        return False

    def notes(self, prefix: str = "") -> Iterator[tuple[str, ReportLine]]:
        """Yield (name, report line)."""
        for folder, count in self._folders.items():
            yield (
                prefix + readable_name(folder),
                ReportLine("folder_passed_over", "skipped", {"count": count}),
            )
        for kind, count in self._files.items():
            yield prefix + kind, ReportLine("system_files", "skipped", {"count": count})


def check_entry_path(name: str) -> None:
    """Raise ProblemError unsafe_path if a name in an archive leads out of it.

    Such a name contains "..", is absolute or begins with a drive letter.
    """
    flat = name.replace("\\", "/")
    parts = flat.split("/")
    if flat.startswith("/") or ".." in parts or (len(parts[0]) == 2 and parts[0][1] == ":"):
        raise ProblemError("unsafe_path")


class ZipWithValidNameFlags:
    """An open zip for `zipfile.ZipFile`, with the UTF-8 flag cleared where a name is not UTF-8.

    zipfile refuses a whole archive for one such flag. `ZipNames` reads the names without the flag.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        """Read as the file does, and clear wrong flags.

        zipfile reads the whole directory in one call, and the header of an entry without its name.
        """
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
    """The names of a zip's entries.

    `encoding` is the encoding of names without the UTF-8 flag, and `guessed` is their number. A name comes
    from the Unicode Path field (0x7075) if its checksum fits, then from the UTF-8 flag, and otherwise from
    one encoding for the whole archive.
    """

    def __init__(self, entries: Iterable[zipfile.ZipInfo]) -> None:
        raw = [
            _raw(info)
            for info in entries
            if not info.flag_bits & _UTF8 and not info.orig_filename.isascii() and _unicode_path(info) is None
        ]
        self.guessed = len(raw)
        self.encoding = encodings.find_encoding(raw, encodings.OF_ARCHIVES)

    def of(self, info: zipfile.ZipInfo) -> str:
        """Return the name of an entry."""
        name = _unicode_path(info)
        if name is not None:
            return name
        if info.flag_bits & _UTF8 or info.orig_filename.isascii():
            return info.orig_filename
        return encodings.decode(_raw(info), self.encoding)


def _raw(info: zipfile.ZipInfo) -> bytes:
    """Return the bytes of the name.

    zipfile reads names without the UTF-8 flag as cp437, which maps every byte.
    """
    return info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437", "surrogateescape")


def _unicode_path(info: zipfile.ZipInfo) -> str | None:
    extra, at = info.extra, 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + length]
        # The checksum is that of the plain name. Another value means that the entry was renamed later.
        fits = len(field) > 5 and field[0] == 1 and field[1:5] == struct.pack("<L", zlib.crc32(_raw(info)))
        if kind == _UP_FIELD and fits:
            try:
                return field[5:].decode("utf-8")
            except UnicodeDecodeError:
                return None
        at += 4 + length
    return None
