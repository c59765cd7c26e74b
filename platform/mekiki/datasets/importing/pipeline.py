"""Store the files of an import in windows: hash, check, write and record. Memory use stays flat.

An import may be repeated, because nothing is remembered outside the database. A second run after a kill reads
the same entries in the same order, finds the stored images in the database and does not decode them again.
The counts follow from the database: added = images of this batch, rejected = files with a problem, duplicates
= all others. A retry, or a second worker at the same time, therefore counts nothing twice.

A file can kill the worker that decodes it. The hashes of the files that are being examined are stored
(jobs.in_hand). After a death these files are examined one at a time, and a file that kills a worker again is
refused.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from django.conf import settings
from django.db import transaction

import imaging
from mekiki.datasets import quotas, storage
from mekiki.datasets.importing import pictures
from mekiki.datasets.importing.archives import Limits
from mekiki.datasets.importing.entries import Entry, Source, SourceReader
from mekiki.datasets.importing.metadata_updates import Update, apply_updates, match_known
from mekiki.datasets.importing.report import NumberSet, Report
from mekiki.datasets.importing.windows import PixelWindows, camera_of
from mekiki.datasets.models import Dataset, Image, ImageName, ImportBatch, ImportProblem, PixelWindow
from mekiki.datasets.problems import ProblemError, ReportLine
from mekiki.jobs.in_hand import ItemsInHand

CHUNK_FILES = 64
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WINDOW_BYTES = 48 * 1024 * 1024
_NEAR = 8  # windows; a storage limit is near if fewer windows fit
# Threads, not processes: Pillow and hashlib release the GIL, and a Celery worker may not fork children.
THREADS = max(2, min(8, os.cpu_count() or 2))

Progress = Callable[[int, int | None], None]


class AlreadyFinishedError(Exception):
    """Error for a batch that another worker has finished in the meantime."""


@dataclass(frozen=True)
class Counts:
    """Counts of an import: accepted or known files, refused files, and whether it had a table of metadata."""

    taken: int
    rejected: int
    tables: bool


@dataclass
class _Chunk:
    """A few dozen entries that pass through the threads together."""

    size: int = 0
    files: int = 0
    alone: bool = False  # no other file may be examined at the same time
    good: list[tuple[Entry, str, "Future[pictures.Picture] | None"]] = field(default_factory=list)
    pixel_windows: dict[str, PixelWindow] = field(default_factory=dict)  # by hash, of deep images
    bad: list[tuple[str, ProblemError | ReportLine]] = field(default_factory=list)
    # False near a storage limit: files are then written only after it is known that they fit.
    is_written: bool = True


def limits_from_settings() -> Limits:
    """Return the limits of the settings."""
    return Limits(
        settings.MAX_FILE_BYTES, settings.MAX_ARCHIVE_BYTES, settings.MAX_ARCHIVE_FILES, settings.MAX_PIXELS
    )


def audit_key(seed: str, sha256: str) -> float:
    """Return a uniform number in [0, 1) for an image. Below the audit share: the audit reserve.

    It is the first 53 bits of the SHA-256 of seed, a zero byte and the hash. workers.acquisition.audit
    computes the same number (a test compares them), and an auditor can do so too.
    """
    digest = hashlib.sha256(seed.encode() + b"\0" + sha256.lower().encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / float(1 << 53)


def store_all(batch: ImportBatch, source: Source, progress: Progress, hand: ItemsInHand) -> Counts:
    """Store every entry of the source and return the counts.

    An exception of `progress` stops the import, and nothing is left half-written.
    """
    limits = limits_from_settings()
    walk = SourceReader(source, limits)
    total = walk.total
    progress(0, total)
    taken = rejected = 0
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="import")
    waiting: deque[_Chunk] = deque()
    run = _Recorder(batch, hand)
    report = run.report

    def finish_all_but(left: int) -> None:
        nonlocal taken, rejected
        while len(waiting) > left:
            good, report_lines = run.finish(waiting.popleft())
            taken, rejected = taken + good, rejected + report_lines
            progress(taken + rejected, max(total, taken + rejected))

    try:
        pixel_windows = PixelWindows(batch.dataset)
        for window, entries in _chunks(batch, walk, limits, hand):
            if window.alone:
                finish_all_but(0)
            waiting.append(_submit(window, entries, batch.dataset, pixel_windows, pool, limits, hand))
            # One window is decoded while the next is read.
            finish_all_but(0 if window.alone else 1)
        finish_all_but(0)
        match_known(batch, walk.tables, report, run.applied)
        report.close()
    except BaseException:
        hand.release_all()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        walk.close()
    hand.close()
    return Counts(taken, rejected, tables=bool(walk.tables))


def _chunks(
    batch: ImportBatch, walk: SourceReader, limits: Limits, hand: ItemsInHand
) -> Iterator[tuple[_Chunk, list[tuple[Entry, str]]]]:
    entries: list[tuple[Entry, str]] = []
    window = _Chunk()
    for entry in _pages(walk, limits, hand) if batch.every_page else walk:
        sha256 = "" if entry is None or entry.problem else hashlib.sha256(entry.data).hexdigest()
        if entry is None or sha256 in hand.suspects:
            if window.files:
                yield window, entries
            entries, window = [], _Chunk()
            yield (
                _Chunk(files=1, alone=True),
                [] if entry is None else [(entry, sha256)],
            )
            continue
        window.files += 1
        window.size += len(entry.data)
        if sha256 in hand.set_aside:
            window.bad.append((entry.where or entry.name, ProblemError("kills_worker")))
        elif entry.problem is None:
            entries.append((entry, sha256))
        else:
            window.bad.append((entry.where or entry.name, entry.problem))
        if window.files >= CHUNK_FILES or window.size >= WINDOW_BYTES:
            yield window, entries
            entries, window = [], _Chunk()
    if window.files:
        yield window, entries


def _pages(entries: Iterable[Entry], limits: Limits, hand: ItemsInHand) -> Iterator[Entry | None]:
    """Yield the entries. The pages of a TIFF replace the TIFF itself.

    None means that all earlier entries must be finished before the next one is read.
    """
    for entry in entries:
        pages = 0
        sha256 = hashlib.sha256(entry.data).hexdigest() if entry.data.startswith(TIFF) else ""
        if sha256 in hand.suspects:
            yield None
            hand.begin_alone(sha256)
        elif sha256:
            hand.begin([sha256])
        if entry.problem is None and sha256 not in hand.set_aside:
            try:
                for number, page in imaging.split_pages(entry.data, max_pixels=limits.pixels):
                    pages += 1
                    yield _page(entry, number, page)
            except imaging.ImagingError:
                pages = 0  # reported later, when the file itself is examined
        if sha256:
            hand.mark_unfinished(sha256)
        if not pages:
            yield entry


def _page(entry: Entry, number: int, page: bytes | imaging.ImagingError) -> Entry:
    def named(name: str) -> str:
        stem, dot, ending = name.rpartition(".")
        return (
            f"{stem} (page {number}){dot}{ending}" if dot and "/" not in ending else f"{name} (page {number})"
        )

    where = named(entry.where) if entry.where else ""
    if isinstance(page, bytes):
        return replace(entry, name=named(entry.name), where=where, data=page)
    problem = ProblemError(page.code, **page.detail)
    return replace(entry, name=named(entry.name), where=where, data=b"", problem=problem)


def _submit(
    window: _Chunk,
    entries: list[tuple[Entry, str]],
    dataset: Dataset,
    pixel_windows: PixelWindows,
    pool: ThreadPoolExecutor,
    limits: Limits,
    hand: ItemsInHand,
) -> _Chunk:
    """Send the entries that the dataset does not have yet to the threads."""
    hashes = {sha256 for _, sha256 in entries}
    known = set(Image.objects.filter(dataset=dataset, sha256__in=hashes).values_list("sha256", flat=True))
    if window.alone:
        for sha256 in hashes:
            hand.begin_alone(sha256)
    elif fresh := hashes - known:
        hand.begin(fresh)
    groups = {
        sha256: (camera_of(entry.metadata), imaging.deep_sample(entry.data))
        for entry, sha256 in entries
        if sha256 not in known
    }
    for group in sorted(pixel_windows.missing(groups.values())):
        files = (entry.data for entry, sha256 in entries if groups.get(sha256) == group)
        pixel_windows.estimate(group, files, max_pixels=limits.pixels)
    room = quotas.remaining_quota(dataset)
    window.is_written = not room.is_short(files=_NEAR * CHUNK_FILES, size=_NEAR * WINDOW_BYTES)
    for entry, sha256 in entries:
        if sha256 in known:
            window.good.append((entry, sha256, None))
        elif (full := room.is_full()) is not None:  # no space is left, so the file is not decoded
            window.bad.append((entry.where or entry.name, full))
        else:
            # A second copy in the same window is examined too. If it is damaged, both are reported.
            pixel_window = pixel_windows.window_of(groups[sha256])
            if pixel_window is not None:
                window.pixel_windows[sha256] = pixel_window
            levels = None if pixel_window is None else imaging.Window(pixel_window.black, pixel_window.white)
            if window.is_written:
                future = pool.submit(_store, dataset.pk, sha256, entry.data, limits, levels)
            else:
                future = pool.submit(
                    pictures.read_picture, entry.data, max_pixels=limits.pixels, window=levels
                )
            window.good.append((entry, sha256, future))
    return window


def _store(
    dataset_id: int, sha256: str, data: bytes, limits: Limits, levels: imaging.Window | None
) -> pictures.Picture:
    """Examine one file and write it with its derivatives. Runs in a thread and uses no database."""
    picture = pictures.read_picture(data, max_pixels=limits.pixels, window=levels)
    _write(dataset_id, sha256, data, picture)
    return picture


def _write(dataset_id: int, sha256: str, data: bytes, picture: pictures.Picture) -> None:
    """Write an original, its thumbnail and its display file."""
    if picture.display is not None:
        storage.write_atomically(storage.display_name(dataset_id, sha256), picture.display)
    storage.write_atomically(storage.thumb_name(dataset_id, sha256), picture.thumb)
    storage.write_atomically(storage.original_name(dataset_id, sha256), data)


class _Recorder:
    """The recording part of one run over an import."""

    def __init__(self, batch: ImportBatch, hand: ItemsInHand) -> None:
        self.batch = batch
        self._hand = hand
        self.report = Report(batch)
        # `met`: images of this import with an entry that was seen. `applied`: images that got metadata.
        self.met, self.applied = NumberSet(), NumberSet()

    def finish(self, window: _Chunk) -> tuple[int, int]:
        """Record a window after its files are written. Return (files accepted, files refused)."""
        new: list[tuple[Entry, Image, pictures.Picture]] = []
        lines: list[tuple[str, ProblemError | ReportLine]] = list(window.bad)
        taken: list[tuple[Entry, str]] = []
        for entry, sha256, future in window.good:
            where = entry.where or entry.name
            if future is not None:
                try:
                    picture = future.result()
                except ProblemError as problem:
                    lines.append((where, problem))
                    continue
                # Notes about an accepted picture, such as frames that were left out.
                lines += [(where, note) for note in picture.notes]
                image = _image(self.batch, entry, sha256, picture, window.pixel_windows.get(sha256))
                new.append((entry, image, picture))
            lines += [(where, note) for note in entry.notes]
            taken.append((entry, sha256))
        with transaction.atomic():
            # A worker that was considered dead may still run. It must write nothing after the batch is
            # finished.
            row = ImportBatch.objects.select_for_update(no_key=True).filter(pk=self.batch.pk).first()
            if row is None or row.finished_at is not None:
                raise AlreadyFinishedError
            full = self._beyond_limits([image for _entry, image, _picture in new])
            rows = []
            for entry, image, picture in new:
                if image.sha256 in full:
                    lines.append((entry.where or entry.name, full[image.sha256]))
                    continue
                rows.append(image)
                if not window.is_written:
                    _write(image.dataset_id, image.sha256, entry.data, picture)
            taken = [(entry, sha256) for entry, sha256 in taken if sha256 not in full]
            Image.objects.bulk_create(rows, ignore_conflicts=True)
            lines += self._record_known(taken)
            self.report.add(lines)
            self._hand.done(sha256 for _entry, sha256, _future in window.good)
        refused = sum(problem.outcome == ImportProblem.Outcome.REFUSED for _, problem in lines)
        return len(taken), refused

    def _beyond_limits(self, images: list[Image]) -> dict[str, ProblemError]:
        """Return hash → problem for images that exceed a storage limit.

        Until the transaction ends, no other import takes the free space.
        """
        room = quotas.remaining_quota(self.batch.dataset, lock=True)
        if not room or not images:
            return {}
        hashes = {image.sha256 for image in images}
        stored = Image.objects.filter(dataset=self.batch.dataset, sha256__in=hashes)
        seen = set(stored.values_list("sha256", flat=True))
        full: dict[str, ProblemError] = {}
        for image in images:
            if image.sha256 in seen:
                continue
            seen.add(image.sha256)
            problem = room.problem(image.size)
            if problem is None:
                room.take(image.size)
            else:
                full[image.sha256] = problem
        return full

    def _record_known(self, taken: list[tuple[Entry, str]]) -> list[tuple[str, ProblemError | ReportLine]]:
        """Store further names and metadata of entries with known content. Return report lines."""
        hashes = {sha256 for _, sha256 in taken}
        stored = Image.objects.filter(dataset=self.batch.dataset, sha256__in=hashes).only(
            "sha256", "name", "batch_id", "metadata"
        )
        kept = {image.sha256: image for image in stored}
        lines: list[tuple[str, ProblemError | ReportLine]] = []
        names, updates = [], []
        for entry, sha256 in taken:
            image = kept.get(sha256)
            if image is None:  # removed at this moment by another process
                continue
            where = entry.where or entry.name
            is_own = image.batch_id == self.batch.pk and image.name == entry.name and self.met.add(image.pk)
            if not is_own:
                lines.append((where, ProblemError("duplicate", kept=image.name)))
                if entry.name != image.name:
                    names.append(ImageName(image=image, name=entry.name, batch=self.batch))
            if entry.metadata:
                if is_own and image.metadata == entry.metadata:
                    self.applied.add(image.pk)
                else:
                    updates.append(Update(image.pk, where, entry.metadata))
        ImageName.objects.bulk_create(names, ignore_conflicts=True)
        return [*lines, *apply_updates(self.batch, updates, self.applied)]


def _image(
    batch: ImportBatch, entry: Entry, sha256: str, picture: pictures.Picture, shown_by: PixelWindow | None
) -> Image:
    return Image(
        dataset=batch.dataset,
        sha256=sha256,
        name=entry.name,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        size=len(entry.data),
        metadata=entry.metadata or {},
        audit_key=audit_key(batch.dataset.seed, sha256),
        batch=batch,
        window=shown_by,
        window_version=shown_by.version if shown_by else 0,
        has_display=picture.display is not None,
    )
