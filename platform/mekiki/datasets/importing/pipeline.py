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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from django.conf import settings

import imaging
from mekiki.datasets import quotas
from mekiki.datasets.importing import capture, pictures
from mekiki.datasets.importing.archives import Limits
from mekiki.datasets.importing.bucket_source import Bucket, BucketReader
from mekiki.datasets.importing.entries import Entry, Reader, Source, SourceReader
from mekiki.datasets.importing.manifest_source import ManifestFile, ManifestReader
from mekiki.datasets.importing.manifests.rows import ReadOptions
from mekiki.datasets.importing.metadata_updates import match_known
from mekiki.datasets.importing.recording import Chunk, Recorder, write_files
from mekiki.datasets.importing.windows import PixelWindows, camera_of
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.datasets.problems import ProblemError
from mekiki.jobs.in_hand import ItemsInHand

CHUNK_FILES = 64
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WINDOW_BYTES = 48 * 1024 * 1024
_NEAR = 8  # windows; a storage limit is near if fewer windows fit
# Threads, not processes: Pillow and hashlib release the GIL, and a Celery worker may not fork children.
THREADS = max(2, min(8, os.cpu_count() or 2))

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Counts:
    """Counts of an import: accepted or known files, refused files, and whether it had a table of metadata."""

    taken: int
    rejected: int
    tables: bool


def limits_from_settings() -> Limits:
    """Return the limits of the settings."""
    return Limits(
        settings.MAX_FILE_BYTES, settings.MAX_ARCHIVE_BYTES, settings.MAX_ARCHIVE_FILES, settings.MAX_PIXELS
    )


def _reader(batch: ImportBatch, source: Source | ManifestFile | Bucket, limits: Limits) -> Reader:
    options = ReadOptions(batch.takes_labels, batch.label_column)
    if isinstance(source, Bucket):
        return BucketReader(source, batch, limits)
    if isinstance(source, ManifestFile):
        return ManifestReader(source, limits, options, skip=batch.entries_done)
    return SourceReader(source, limits, options, folder_labels=batch.folder_labels)


def store_all(
    batch: ImportBatch, source: Source | ManifestFile | Bucket, progress: Progress, hand: ItemsInHand
) -> Counts:
    """Store every entry of the source and return the counts.

    An exception of `progress` stops the import, and nothing is left half-written.
    """
    limits = limits_from_settings()
    walk = _reader(batch, source, limits)
    total = walk.total
    taken, rejected = batch.entries_taken, batch.entries_refused
    progress(taken + rejected, total)
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="import")
    waiting: deque[Chunk] = deque()
    run = Recorder(batch, hand)
    report = run.report

    def finish_all_but(left: int) -> None:
        nonlocal taken, rejected
        while len(waiting) > left:
            good, report_lines = run.finish(waiting.popleft())
            taken, rejected = taken + good, rejected + report_lines
            done = taken + rejected
            progress(done, max(total, done) if total else 0)

    try:
        pixel_windows = PixelWindows(batch.dataset)
        for window, entries in _chunks(batch, walk, limits, hand):
            if window.alone:
                finish_all_but(0)
            waiting.append(_submit(window, entries, batch, pixel_windows, pool, limits, hand))
            # One window is decoded while the next is read.
            finish_all_but(0 if window.alone else 1)
        finish_all_but(0)
        match_known(batch, walk.tables, report, run.applied, run.fields)
        report.add(run.fields.close())
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
    batch: ImportBatch, walk: Reader, limits: Limits, hand: ItemsInHand
) -> Iterator[tuple[Chunk, list[tuple[Entry, str]]]]:
    entries: list[tuple[Entry, str]] = []
    window = Chunk()
    for entry in _pages(walk, limits, hand) if batch.every_page else walk:
        sha256 = "" if entry is None or entry.problem else hashlib.sha256(entry.data).hexdigest()
        if entry is None or sha256 in hand.suspects:
            if window.files:
                yield window, entries
            entries, window = [], Chunk()
            yield (
                Chunk(files=1, alone=True, position=entry.position if entry is not None else None),
                [] if entry is None else [(entry, sha256)],
            )
            continue
        window.files += 1
        window.size += len(entry.data)
        window.position = entry.position
        if sha256 in hand.set_aside:
            window.bad.append((entry.where or entry.name, ProblemError("kills_worker")))
        elif entry.problem is None:
            entries.append((entry, sha256))
        else:
            window.bad.append((entry.where or entry.name, entry.problem))
            if entry.mark is not None:
                window.marks.append(entry.mark)
        if window.files >= CHUNK_FILES or window.size >= WINDOW_BYTES:
            yield window, entries
            entries, window = [], Chunk()
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
    window: Chunk,
    entries: list[tuple[Entry, str]],
    batch: ImportBatch,
    pixel_windows: PixelWindows,
    pool: ThreadPoolExecutor,
    limits: Limits,
    hand: ItemsInHand,
) -> Chunk:
    """Send the entries that the dataset does not have yet to the threads."""
    dataset: Dataset = batch.dataset
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
            future = pool.submit(
                _store, batch, sha256, entry.data, limits, levels, is_written=window.is_written
            )
            window.good.append((entry, sha256, future))
    return window


def _store(
    batch: ImportBatch,
    sha256: str,
    data: bytes,
    limits: Limits,
    levels: imaging.Window | None,
    *,
    is_written: bool,
) -> pictures.Picture:
    """Examine one file and write it with its derivatives. Runs in a thread and uses no database."""
    picture = pictures.read_picture(data, max_pixels=limits.pixels, window=levels)
    if batch.read_exif:
        picture = replace(picture, captured=capture.captured_metadata(data, with_place=batch.keep_place))
    if is_written:
        write_files(batch.dataset_id, sha256, data, picture)
    return picture
