"""Walk a folder on the server's disk.

The order is the same each time, links are not followed, and the report names everything that is left out.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from mekiki.config.regular_files import kind_of
from mekiki.datasets.importing import encodings, names
from mekiki.datasets.problems import ProblemError, ReportLine

Line = ProblemError | ReportLine
# Maximum number of files counted in a skipped folder. A NAS keeps millions of files in its snapshots.
_MAX_COUNTED = 10_000


# Prefix of a path that is not printable text. Its bytes follow, percent-encoded.
_BYTES = "bytes:"


def to_location(path: Path) -> str:
    """Return a path as text that a database can store, whatever bytes it has."""
    text = str(path)
    return text if text.isprintable() else _BYTES + quote_from_bytes(os.fsencode(text))


def from_location(location: str) -> Path:
    """Return the path that to_location encoded."""
    if location.startswith(_BYTES):
        return Path(os.fsdecode(unquote_to_bytes(location.removeprefix(_BYTES))))
    return Path(location)


@dataclass(frozen=True)
class NameEncoding:
    """The encoding of the names in one folder. `not_utf8` is the number of names that are not UTF-8."""

    codec: str | None
    not_utf8: int

    def text(self, raw: str) -> str:
        """Return a name as text, for a path as Python gives it."""
        if not self.not_utf8 or raw.isascii():
            return raw
        return encodings.decode(os.fsencode(raw), self.codec)

    def notes(self, label: str) -> Iterator[tuple[str, ReportLine]]:
        """Yield a report line that names the encoding, if it was guessed."""
        yield from encoding_notes(label, self.codec, self.not_utf8)


def encoding_notes(label: str, codec: str | None, guessed: int) -> Iterator[tuple[str, ReportLine]]:
    """Yield a report line that names the encoding. Yield nothing if all names are UTF-8 or ASCII."""
    if guessed and codec is None:
        yield label, ReportLine("names_mixed", "noted", {"count": guessed})
    elif guessed and codec != "utf-8":
        yield (
            label,
            ReportLine(
                "names_encoding", "noted", {"count": guessed, "format": encodings.LABELS[codec or ""]}
            ),
        )


@dataclass(frozen=True)
class Folder:
    """A folder on the server with everything below it, or a single file."""

    path: Path
    _counted: dict[str, int | str] = field(default_factory=dict, compare=False)

    @cached_property
    def encoding(self) -> NameEncoding:
        """Return the encoding of all names below the folder and of the name of the folder."""
        # All names outside ASCII are used. The encoding is UTF-8 only if every name fits.
        parts: set[str] = set() if self.path.name.isascii() else {self.path.name}
        for name, _file in self._scan(Path(os.path.realpath(self.path))):
            parts.update(part for part in name.split("/") if not part.isascii())
        raw = [os.fsencode(part) for part in sorted(parts)]
        guessed = sum(any("\udc80" <= c <= "\udcff" for c in part) for part in parts)
        return NameEncoding(
            encodings.find_encoding(raw, encodings.OF_FOLDERS) if guessed else "utf-8", guessed
        )

    @property
    def label(self) -> str:
        """Return the name of the folder as readable text."""
        return names.readable_name(self.encoding.text(self.path.name) or "/")

    @property
    def shown_path(self) -> str:
        """Return the whole path as readable text.

        The encoding is chosen from the path alone, not from the names in the folder.
        """
        parts = [os.fsencode(part) for part in self.path.parts if not part.isascii()]
        return names.escape_unprintable(
            encodings.decode(os.fsencode(self.path), encodings.find_encoding(parts, encodings.OF_FOLDERS))
        )

    def notes(self) -> Iterator[tuple[str, ReportLine]]:
        """Yield the report lines about the folder as a whole."""
        yield from self.encoding.notes(self.label)

    def mark(self, name: str, path: Path) -> None:
        """Return None: an import of a folder takes all files."""

    def files(self) -> Iterator[tuple[str, Path | Line]]:
        """Yield the files as entries.Source does. A skipped folder gives one report line."""
        # A link that the user names is followed. Links inside the folder are not.
        top = Path(os.path.realpath(self.path))
        if not top.is_dir():
            kind = kind_of(top.stat().st_mode) if top.exists() else ""
            yield self.label, ProblemError("special_file", format=kind) if kind else top
            return
        for name, file in self._scan(top):
            yield self.encoding.text(name), file

    def _scan(self, top: Path) -> Iterator[tuple[str, Path | Line]]:
        """Yield (path below the top as Python gives it, the file or a report line).

        The files of a folder come before its sub-folders.
        """
        waiting = [(top, "")]
        while waiting:
            folder, prefix = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    children = sorted(entries, key=lambda child: child.name)
            except NotADirectoryError:
                return
            except OSError:
                yield prefix.rstrip("/") or folder.name, ProblemError("unreadable_folder")
                continue
            below = []
            for child in children:
                name = prefix + child.name
                if child.is_dir(follow_symlinks=False):
                    if names.is_system_folder(child.name):
                        yield (
                            name,
                            ReportLine("folder_passed_over", "skipped", {"count": self._count(child.path)}),
                        )
                    else:
                        below.append((Path(child.path), f"{name}/"))
                else:
                    yield name, _kind(child)
            waiting += reversed(below)

    def _count(self, folder: str) -> int | str:
        """Return the number of files below a folder, or "10000+" above _MAX_COUNTED."""
        if folder not in self._counted:
            count = 0
            for _place, _below, files in os.walk(folder):
                count += len(files)
                if count > _MAX_COUNTED:
                    break
            self._counted[folder] = count if count <= _MAX_COUNTED else f"{_MAX_COUNTED}+"
        return self._counted[folder]


def _kind(child: "os.DirEntry[str]") -> Path | ProblemError:
    if child.is_symlink():
        if Path(child.path).is_dir():
            return ProblemError("linked_folder")
        return ProblemError("symlink" if Path(child.path).exists() else "broken_link")
    if child.is_file(follow_symlinks=False):
        return Path(child.path)
    try:
        return ProblemError("special_file", format=kind_of(child.stat(follow_symlinks=False).st_mode))
    except OSError:
        return ProblemError("unreadable")
