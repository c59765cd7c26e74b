"""The entries of an import, from an upload, a folder or a single file. Zips are walked.

Entries come in the same order each time, so that a killed import can resume. Replay walks folders in the same
way.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from django.conf import settings

from mekiki.config.regular_files import NotRegularError, open_regular
from mekiki.datasets.importing import metadata, names
from mekiki.datasets.importing.archives import (
    ENDING,
    HEAD_BYTES,
    Archive,
    Limits,
    contains_zip,
    other_archive_kind,
)
from mekiki.datasets.importing.folder_labels import FolderLabels, all_folders
from mekiki.datasets.importing.folders import Folder, Line, encoding_notes
from mekiki.datasets.importing.manifests.rows import NO_LABELS, ReadOptions, RowLabel
from mekiki.datasets.importing.table_store import TableStore
from mekiki.datasets.problems import ProblemError, ReportLine

__all__ = ["NAMES_FILE", "Entry", "Folder", "Source", "SourceReader", "Upload"]

NAMES_FILE = "names.jsonl"
_STEP = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file with its bytes, or a report line about a file, a folder, a table or an archive.

    `name` is for display. `where` is the path with the archive, for reports. If it is empty, `name` is used.
    `notes` are report lines about an accepted file.
    """

    name: str
    data: bytes = b""
    problem: Line | None = None
    metadata: dict[str, str] | None = None
    where: str = ""
    notes: tuple[ReportLine, ...] = ()
    labels: tuple[RowLabel, ...] = ()
    # The row of a manifest, from 1. An import of a manifest resumes after the last row that it has finished.
    position: int | None = None
    # (name, mark) of a file of a bucket or a watched folder: see models.SeenFile.
    mark: tuple[str, str] | None = None


class Reader(Protocol):
    """One walk over the entries of an import.

    Read `total` first, then iterate once. Afterwards `tables` holds the tables of metadata.
    """

    tables: list[metadata.Tables]

    @property
    def total(self) -> int:
        """Return the number of files for the progress bar."""
        ...

    def __iter__(self) -> Iterator[Entry]:
        """Yield every entry, in the same order each time."""
        ...

    def close(self) -> None:
        """Free what the walk holds."""
        ...


class Source(Protocol):
    """Files on this machine's disk, with the names that users gave them."""

    def files(self) -> Iterator[tuple[str, Path | Line]]:
        """Yield (name as sent, path to read from or a report line), in the same order each time."""
        ...

    def notes(self) -> Iterator[tuple[str, ReportLine]]:
        """Yield the report lines about the source as a whole."""
        ...

    def mark(self, name: str, path: Path) -> tuple[str, str] | None:
        """Return (name, mark) of a file that must not be taken again, or None."""
        ...


@dataclass(frozen=True)
class Upload:
    """A folder of numbered files beside names.jsonl, as datasets.services wrote it."""

    folder: Path

    def files(self) -> Iterator[tuple[str, Path | Line]]:
        """Yield the files as Source.files does."""
        try:
            lines = (self.folder / NAMES_FILE).open("rb")
        except FileNotFoundError:
            return
        with lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:  # cut short by a killed server, so the client got no confirmation
                    continue
                if "problem" in row:
                    yield str(row["name"]), ProblemError(row["problem"]["code"], **row["problem"]["detail"])
                else:
                    yield str(row["name"]), self.folder / f"{int(row['file']):012d}"

    def notes(self) -> Iterator[tuple[str, ReportLine]]:
        """Yield nothing: the names of an upload arrive as text, so no encoding is guessed."""
        return iter(())

    def mark(self, name: str, path: Path) -> None:
        """Return None: an upload is complete when it is imported."""


class SourceReader:
    """One walk over the files of an upload or a folder, as a Reader.

    folder_labels: whether the names of the folders are labels.
    """

    def __init__(
        self,
        source: Source,
        limits: Limits,
        options: ReadOptions = NO_LABELS,
        *,
        folder_labels: bool = False,
    ) -> None:
        self._source = source
        self._limits = limits
        self._options = options
        self._folder_labels = folder_labels
        self.tables: list[metadata.Tables] = []
        self._store = TableStore(settings.HOME / "incoming")

    def close(self) -> None:
        """Delete the stored tables."""
        self._store.close()

    @cached_property
    def total(self) -> int:
        """Return the number of files for the progress bar, including the files inside zips."""
        total = 0
        for name, path in self._source.files():
            if not isinstance(path, Path):
                total += not isinstance(path, ReportLine)
            elif names.is_skipped(name):
                continue
            elif not self._is_zip(path):
                total += 1
            else:
                try:
                    with Archive(path, self._limits, name) as archive:
                        total += sum(not names.is_skipped(n) for n, _ in archive.entries())
                except (ProblemError, OSError):
                    total += 1
        return total

    def __iter__(self) -> Iterator[Entry]:
        """Yield every entry with its bytes, one at a time. Report lines are entries too."""
        passed_over = names.SkippedFiles()
        tables = metadata.Tables(self._store, self._options)
        for name, path in self._source.files():
            if isinstance(path, Path) and metadata.is_table(name) and not names.is_skipped(name):
                try:
                    tables.add(name, names.readable_name(name), self._pieces(path))
                except ProblemError as problem:
                    yield Entry(names.readable_name(name), problem=_of_table(problem))
        tables.parse()
        if tables:
            self.tables.append(tables)
            for name, path in self._source.files():
                if isinstance(path, Path) and not names.is_skipped(name) and not metadata.is_table(name):
                    tables.claim(name)
        for name, note in self._source.notes():
            yield Entry(name, problem=note)
        folders = self._folders(
            name
            for name, path in (self._source.files() if self._folder_labels else ())
            if isinstance(path, Path) and not names.is_skipped(name) and not metadata.is_table(name)
        )
        for name, path in self._source.files():
            label = names.readable_name(name)
            if not isinstance(path, Path):
                yield Entry(label, problem=path)
            elif passed_over.takes(name) or metadata.is_table(name):
                continue
            elif self._is_zip(path):
                yield from self._archive(label, path, self._source.mark(name, path))
            else:
                mark = self._source.mark(name, path)
                try:
                    data = self._read(path)
                except ProblemError as problem:
                    yield Entry(label, problem=problem, mark=None if problem.code == "unreadable" else mark)
                else:
                    described = tables.of(name)
                    labels = _with_folder(described.labels, folders, name)
                    yield Entry(
                        label,
                        data,
                        metadata=described.values,
                        notes=tuple(described.notes),
                        labels=labels,
                        mark=mark,
                    )
        for name, note in passed_over.notes():
            yield Entry(name, problem=note)
        if folders is not None and (missing := folders.note()) is not None:
            yield Entry("/", problem=missing)

    def _folders(self, sent: Iterable[str]) -> FolderLabels | None:
        return all_folders(sent) if self._folder_labels else None

    def _archive(self, label: str, path: Path, mark: tuple[str, str] | None) -> Iterator[Entry]:
        def of(name: str) -> str:
            return f"{label}/{names.readable_name(name)}"

        try:
            with Archive(path, self._limits, label) as archive:
                for name, note in encoding_notes(label, archive.names.encoding, archive.names.guessed):
                    yield Entry(name, problem=note)
                passed_over = names.SkippedFiles()
                tables = metadata.Tables(self._store, self._options)
                images = []
                for name, info in archive.entries():
                    if passed_over.takes(name):
                        continue
                    if not metadata.is_table(name):
                        images.append((name, info))
                        continue
                    try:
                        tables.add(name, of(name), archive.pieces(name, info))
                    except ProblemError as problem:
                        if problem.code in ENDING:
                            raise
                        yield Entry(of(name), problem=_of_table(problem))
                tables.parse()
                if tables:
                    self.tables.append(tables)
                    for name, _ in images:
                        tables.claim(name)
                yield from _repeated(of, [name for name, _ in images])
                folders = self._folders(name for name, _ in images)
                for name, info in images:
                    try:
                        data = archive.read(name, info)
                    except ProblemError as problem:
                        if problem.code in ENDING:
                            raise
                        yield Entry(of(name), problem=problem, mark=mark)
                    else:
                        described = tables.of(name)
                        yield Entry(
                            names.readable_name(name),
                            data,
                            metadata=described.values,
                            where=of(name),
                            notes=tuple(described.notes),
                            labels=_with_folder(described.labels, folders, name),
                            mark=mark,
                        )
                for name, note in passed_over.notes(f"{label}/"):
                    yield Entry(name, problem=note)
                if folders is not None and (missing := folders.note()) is not None:
                    yield Entry(f"{label}/", problem=missing)
                if not images and not tables:
                    yield Entry(label, problem=ProblemError("no_image"))
        except ProblemError as problem:
            yield Entry(label, problem=problem, mark=mark)

    def _is_zip(self, path: Path) -> bool:
        try:
            with open_regular(path, follow_links=False) as file:
                return contains_zip(file.read(HEAD_BYTES), file)
        except OSError:
            return False

    def _read(self, path: Path) -> bytes:
        """Return the bytes of a file. Raises the same errors as `_pieces`."""
        return b"".join(self._pieces(path))

    def _pieces(self, path: Path) -> Iterator[bytes]:
        """Yield the bytes of a file in pieces.

        Raises ProblemError with one of the codes special_file, archive_kind, too_large, unreadable.
        """
        try:
            with open_regular(path, follow_links=False) as file:
                head = file.read(HEAD_BYTES)
                if kind := other_archive_kind(head):
                    raise ProblemError("archive_kind", format=kind)
                size = os.fstat(file.fileno()).st_size
                if size > self._limits.file_bytes:
                    raise ProblemError("too_large", limit=self._limits.file_bytes)
                yield head
                left = size - len(head)
                while left > 0 and (piece := file.read(min(left, _STEP))):
                    left -= len(piece)
                    yield piece
        except NotRegularError as error:
            # The file was replaced after the folder was listed.
            raise ProblemError("special_file", format=error.kind) from None
        except OSError:
            raise ProblemError("unreadable") from None


def _of_table(problem: ProblemError) -> Line:
    """Return the report line for a table that could not be read. Its images are imported nevertheless."""
    if problem.code == "too_large":
        return ReportLine("metadata_invalid", "partly", {"reason": "too_large"})
    if problem.code == "metadata_too_much":
        return ReportLine(problem.code, "partly", problem.detail)
    return problem


def _with_folder(
    labels: tuple[RowLabel, ...], folders: FolderLabels | None, name: str
) -> tuple[RowLabel, ...]:
    """Return the labels of a file. A label of a table has priority over the name of the folder."""
    return labels if labels or folders is None else folders.labels_of(name)


def _repeated(of: Callable[[str], str], sent: list[str]) -> Iterator[Entry]:
    """Yield a line for each name that occurs more than once in an archive. All its entries are imported."""
    for name, count in Counter(sent).items():
        if count > 1:
            yield Entry(of(name), problem=ReportLine("name_repeated", "noted", {"count": count}))
