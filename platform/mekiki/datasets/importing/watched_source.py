"""Files of a watched folder: a scan records what it sees, and an import takes the files that have settled."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mekiki.datasets.importing import metadata, names
from mekiki.datasets.importing.folders import Folder, Line
from mekiki.datasets.models import SeenFile, WatchedFolder
from mekiki.datasets.problems import ReportLine

_CHUNK = 1000


def mark_of(path: Path) -> str | None:
    """Return the mark of a file, or None if it cannot be read: it changes when the file is written."""
    try:
        state = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ino}"


def scan(watch: WatchedFolder, folder: Folder) -> int:
    """Record the files of a watched folder, and return how many have settled and wait for an import.

    A file settles when it has the same mark as in the scan before. No times are compared, because the clock
    of a NAS may differ. Raises OSError if the folder cannot be read.
    """
    os.scandir(folder.path).close()  # a NAS that is not mounted must not look like an empty folder
    State = SeenFile.State
    settled = 0
    files = ((name, path) for name, path in folder.files() if isinstance(path, Path))
    taken = ((name, path) for name, path in files if not names.is_skipped(name))
    while chunk := list(islice(taken, _CHUNK)):
        marks = {names.readable_name(name): mark for name, path in chunk if (mark := mark_of(path))}
        rows = SeenFile.objects.filter(dataset=watch.dataset_id, place=watch.location, name__in=list(marks))
        known = {row.name: row for row in rows}
        changed = []
        for name, mark in marks.items():
            row = known.pop(name, None)
            if row is None:
                row = SeenFile(dataset_id=watch.dataset_id, place=watch.location, name=name, mark=mark)
            elif row.mark != mark:
                row.mark, row.state = mark, State.SEEN
            elif row.state == State.SEEN:
                row.state = State.SETTLED
            else:
                settled += row.state == State.SETTLED
                continue
            settled += row.state == State.SETTLED
            changed.append(row)
        SeenFile.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["dataset", "place", "name"],
            update_fields=["mark", "state"],
        )
    return settled


@dataclass(frozen=True)
class SettledFiles:
    """The files of a watched folder that have settled, as an entries.Source. Tables are always read."""

    folder: Folder
    dataset: int
    place: str
    batch: int

    def files(self) -> Iterator[tuple[str, Path | Line]]:
        """Yield the files as Source.files does. Links and folders that cannot be read are left out here.

        The first import of a folder lists them, because a scan repeats every few minutes.
        """
        files = ((name, path) for name, path in self.folder.files() if isinstance(path, Path))
        while chunk := list(islice(files, _CHUNK)):
            rows = SeenFile.objects.filter(
                dataset=self.dataset,
                place=self.place,
                name__in=[names.readable_name(name) for name, _path in chunk],
            )
            waiting = {
                row.name: row.mark
                for row in rows
                if row.state == SeenFile.State.SETTLED or row.batch_id == self.batch
            }
            for name, path in chunk:
                mark = waiting.get(names.readable_name(name))
                if metadata.is_table(name) or (mark is not None and mark == mark_of(path)):
                    yield name, path

    def notes(self) -> Iterator[tuple[str, ReportLine]]:
        """Yield the report lines about the folder as a whole."""
        yield from self.folder.notes()

    def mark(self, name: str, path: Path) -> tuple[str, str] | None:
        """Return (name, mark) of a file, to record that it is taken."""
        mark = mark_of(path)
        return (names.readable_name(name), mark) if mark is not None else None
