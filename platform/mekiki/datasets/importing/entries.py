"""What an import holds: one entry a file, from an upload, a folder or a single file; zips are walked.

Entries come in the same order each time, so a killed import finds its way again.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mekiki.datasets.importing import metadata, names
from mekiki.datasets.importing.archives import Archive, Limits, is_zip
from mekiki.datasets.problems import ProblemError

NAMES_FILE = "names.jsonl"


@dataclass(frozen=True)
class Entry:
    """A file, or a whole archive or table that was refused: its name for people, its bytes or the problem.

    `where` says which archive it lies in, for reports; empty: it is the name.
    """

    name: str
    data: bytes = b""
    problem: ProblemError | None = None
    metadata: dict[str, str] | None = None
    where: str = ""


class Source(Protocol):
    """Files on this machine's disk, with the names people gave them."""

    def files(self) -> Iterator[tuple[str, Path | ProblemError]]:
        """(name as sent, path to read it from or why there is none), in the same order each time."""
        ...


@dataclass(frozen=True)
class Upload:
    """A folder of numbered files beside names.jsonl, as datasets.services wrote it."""

    folder: Path

    def files(self) -> Iterator[tuple[str, Path | ProblemError]]:
        """See Source."""
        try:
            lines = (self.folder / NAMES_FILE).open("rb")
        except FileNotFoundError:
            return
        with lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except ValueError:  # cut short by a killed server; its file was never confirmed to the client
                    continue
                if "problem" in row:
                    yield str(row["name"]), ProblemError(row["problem"]["code"], **row["problem"]["detail"])
                else:
                    yield str(row["name"]), self.folder / f"{int(row['file']):012d}"


@dataclass(frozen=True)
class Folder:
    """A folder on the server with everything below it, or a single file. Links are not followed."""

    path: Path

    def files(self) -> Iterator[tuple[str, Path | ProblemError]]:
        """See Source."""
        if self.path.is_file():
            yield self.path.name, self.path
            return
        for folder, below, files in os.walk(self.path):
            below.sort()
            here = Path(folder)
            for file in sorted(files):
                path = here / file
                yield path.relative_to(self.path).as_posix(), path


def count(source: Source, limits: Limits) -> int:
    """How many entries there are, for the progress bar: files, and the files inside zips."""
    total = 0
    for name, path in source.files():
        if names.ignorable(name):
            continue
        if isinstance(path, ProblemError) or not _starts_like_zip(path):
            total += 1
            continue
        try:
            with Archive(path, limits) as archive:
                total += sum(1 for _ in archive.entries())
        except (ProblemError, OSError):
            total += 1
    return total


def walk(source: Source, limits: Limits) -> Iterator[Entry]:
    """Every entry with its bytes, one at a time. Problems come as entries too, so that the rest goes on."""
    tables = metadata.Tables()
    for name, path in source.files():
        if metadata.is_table(name) and not names.ignorable(name):
            try:
                tables.add(name, _read(path, limits))
            except ProblemError as problem:
                yield Entry(names.readable(name), problem=problem)
    for name, path in source.files():
        if names.ignorable(name) or metadata.is_table(name):
            continue
        if isinstance(path, Path) and _starts_like_zip(path):
            yield from _walk_archive(names.readable(name), path, limits)
            continue
        try:
            yield Entry(names.readable(name), _read(path, limits), metadata=tables.of(name))
        except ProblemError as problem:
            yield Entry(names.readable(name), problem=problem)


def _walk_archive(label: str, path: Path, limits: Limits) -> Iterator[Entry]:
    def of(name: str) -> str:
        return names.readable(f"{label}/{name}")

    try:
        with Archive(path, limits) as archive:
            tables = metadata.Tables()
            for name, info in archive.entries():
                if metadata.is_table(name):
                    try:
                        tables.add(name, archive.read(name, info))
                    except ProblemError as problem:
                        yield Entry(of(name), problem=problem)
            found = False
            for name, info in archive.entries():
                if metadata.is_table(name):
                    continue
                found = True
                try:
                    data = archive.read(name, info)
                except ProblemError as problem:
                    if problem.code.startswith("archive_"):
                        raise
                    yield Entry(of(name), problem=problem)
                else:
                    yield Entry(names.readable(name), data, metadata=tables.of(name), where=of(name))
            if not found:
                yield Entry(label, problem=ProblemError("no_image"))
    except ProblemError as problem:
        yield Entry(label, problem=problem)


def _starts_like_zip(path: Path | ProblemError) -> bool:
    if isinstance(path, ProblemError):
        return False
    try:
        if path.is_symlink():
            return False
        with path.open("rb") as file:
            return is_zip(file.read(4))
    except OSError:
        return False


def _read(path: Path | ProblemError, limits: Limits) -> bytes:
    """A file's bytes. ProblemError: symlink, too_large, unreadable, or the one given."""
    if isinstance(path, ProblemError):
        raise path
    try:
        if path.is_symlink():
            raise ProblemError("symlink")
        if not path.is_file():
            raise ProblemError("unreadable")
        size = path.stat().st_size
        if size <= limits.file_bytes:
            with path.open("rb") as file:
                return file.read(size)
    except OSError:
        raise ProblemError("unreadable") from None
    raise ProblemError("too_large", limit=limits.file_bytes)
