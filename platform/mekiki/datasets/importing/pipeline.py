"""Storing an import's files: hash, check, write, record — in windows, with flat memory, safe to repeat.

Safe to repeat because nothing is remembered outside the tables: a second run after a kill reads the same
entries in the same order, finds in the database what is stored already and skips its decoding. The counts
follow from what is there: added = images whose batch is this one, rejected = files with a problem,
duplicates = all others. So a retry, or a second worker at the same time, counts nothing twice.
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
from mekiki.datasets import storage
from mekiki.datasets.importing import pictures
from mekiki.datasets.importing.archives import Limits
from mekiki.datasets.importing.entries import Entry, Source, count, walk
from mekiki.datasets.importing.report import NumberSet, Report
from mekiki.datasets.importing.windows import Windows, camera_of
from mekiki.datasets.models import Dataset, Image, ImportBatch, ImportProblem, PixelWindow
from mekiki.datasets.problems import Note, ProblemError

WINDOW_FILES = 64
WINDOW_BYTES = 48 * 1024 * 1024
# Threads, not processes: Pillow and hashlib release the GIL, and a Celery worker may not fork children.
THREADS = max(2, min(8, os.cpu_count() or 2))

Progress = Callable[[int, int | None], None]


class AlreadyFinishedError(Exception):
    """Another worker has finished this batch meanwhile."""


@dataclass(frozen=True)
class Counts:
    """What came of the entries: files seen without a problem, and those refused."""

    taken: int
    rejected: int


@dataclass
class _Window:
    """A few dozen entries on their way through the threads together."""

    size: int = 0
    files: int = 0
    good: list[tuple[Entry, str, "Future[pictures.Picture] | None"]] = field(default_factory=list)
    pixel_windows: dict[str, PixelWindow] = field(default_factory=dict)  # by hash, of deep images
    bad: list[tuple[str, ProblemError]] = field(default_factory=list)


def limits_from_settings() -> Limits:
    """The bounds the environment sets."""
    return Limits(
        settings.MAX_FILE_BYTES, settings.MAX_ARCHIVE_BYTES, settings.MAX_ARCHIVE_FILES, settings.MAX_PIXELS
    )


def audit_key(seed: str, sha256: str) -> float:
    """A uniform number in [0, 1) for an image; below the dataset's audit share it is in the audit reserve.

    SHA-256 of seed, a zero byte and the hash; the first 53 bits. workers.acquisition.audit computes the same
    (a test compares them), and so can an auditor.
    """
    digest = hashlib.sha256(seed.encode() + b"\0" + sha256.lower().encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / float(1 << 53)


def store_all(batch: ImportBatch, source: Source, progress: Progress) -> Counts:
    """Store every entry of the source. Whatever `progress` raises stops it, with nothing half-written."""
    limits = limits_from_settings()
    total = count(source, limits)
    progress(0, total)
    taken = rejected = 0
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="import")
    waiting: deque[_Window] = deque()
    report, seen = Report(batch), NumberSet()
    try:
        for window in _windows(batch, source, pool, limits):
            waiting.append(window)
            # One window is decoded while the next is read.
            if len(waiting) > 1:
                good, bad = _finish(batch, waiting.popleft(), report, seen)
                taken, rejected = taken + good, rejected + bad
                progress(taken + rejected, max(total, taken + rejected))
        while waiting:
            good, bad = _finish(batch, waiting.popleft(), report, seen)
            taken, rejected = taken + good, rejected + bad
            progress(taken + rejected, max(total, taken + rejected))
        report.close()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return Counts(taken, rejected)


def _windows(
    batch: ImportBatch, source: Source, pool: ThreadPoolExecutor, limits: Limits
) -> Iterator[_Window]:
    entries: list[tuple[Entry, str]] = []
    window = _Window()
    dataset, pixel_windows = batch.dataset, Windows(batch.dataset)
    for entry in _pages(walk(source, limits), limits) if batch.every_page else walk(source, limits):
        window.files += 1
        window.size += len(entry.data)
        if entry.problem is None:
            entries.append((entry, hashlib.sha256(entry.data).hexdigest()))
        else:
            window.bad.append((entry.where or entry.name, entry.problem))
        if window.files >= WINDOW_FILES or window.size >= WINDOW_BYTES:
            yield _submit(window, entries, dataset, pixel_windows, pool, limits)
            entries, window = [], _Window()
    if window.files:
        yield _submit(window, entries, dataset, pixel_windows, pool, limits)


def _pages(entries: Iterable[Entry], limits: Limits) -> Iterator[Entry]:
    """The entries, with a TIFF of many pages replaced by its pages."""
    for entry in entries:
        pages = 0
        if entry.problem is None:
            try:
                for number, page in imaging.split_pages(entry.data, max_pixels=limits.pixels):
                    pages += 1
                    yield _page(entry, number, page)
            except imaging.ImagingError:
                pages = 0  # reported when the file itself is examined
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
    window: _Window,
    entries: list[tuple[Entry, str]],
    dataset: Dataset,
    pixel_windows: Windows,
    pool: ThreadPoolExecutor,
    limits: Limits,
) -> _Window:
    """Send to the threads what the dataset does not hold yet."""
    hashes = {sha256 for _, sha256 in entries}
    known = set(Image.objects.filter(dataset=dataset, sha256__in=hashes).values_list("sha256", flat=True))
    groups = {
        sha256: (camera_of(entry.metadata), imaging.deep_sample(entry.data))
        for entry, sha256 in entries
        if sha256 not in known
    }
    for group in sorted(pixel_windows.missing(groups.values())):
        files = (entry.data for entry, sha256 in entries if groups.get(sha256) == group)
        pixel_windows.estimate(group, files, max_pixels=limits.pixels)
    for entry, sha256 in entries:
        if sha256 in known:
            window.good.append((entry, sha256, None))
        else:
            # A second copy in the same window is examined too: should it be bad, both are reported.
            found = pixel_windows.of(groups[sha256])
            if found is not None:
                window.pixel_windows[sha256] = found
            levels = None if found is None else imaging.Window(found.black, found.white)
            future = pool.submit(_store, dataset.pk, sha256, entry.data, limits, levels)
            window.good.append((entry, sha256, future))
    return window


def _store(
    dataset_id: int, sha256: str, data: bytes, limits: Limits, levels: imaging.Window | None
) -> pictures.Picture:
    """Examine one file and write it with its derivatives. Runs in a thread; touches no database."""
    picture = pictures.examine(data, max_pixels=limits.pixels, window=levels)
    if picture.display is not None:
        storage.put(storage.display_name(dataset_id, sha256), picture.display)
    storage.put(storage.thumb_name(dataset_id, sha256), picture.thumb)
    storage.put(storage.original_name(dataset_id, sha256), data)
    return picture


def _finish(batch: ImportBatch, window: _Window, report: Report, seen: NumberSet) -> tuple[int, int]:
    """Record a window once its files are written. Returns (files taken, files refused)."""
    dataset = batch.dataset
    rows: list[Image] = []
    lines: list[tuple[str, ProblemError | Note]] = list(window.bad)
    taken: list[tuple[Entry, str]] = []
    for entry, sha256, future in window.good:
        if future is not None:
            try:
                picture = future.result()
            except ProblemError as problem:
                lines.append((entry.where or entry.name, problem))
                continue
            lines += [(entry.where or entry.name, note) for note in picture.notes]
            rows.append(
                Image(
                    dataset=dataset,
                    sha256=sha256,
                    name=entry.name,
                    format=picture.format,
                    width=picture.width,
                    height=picture.height,
                    size=len(entry.data),
                    metadata=entry.metadata or {},
                    audit_key=audit_key(dataset.seed, sha256),
                    batch=batch,
                    window=(shown_by := window.pixel_windows.get(sha256)),
                    window_version=shown_by.version if shown_by else 0,
                    has_display=picture.display is not None,
                )
            )
        taken.append((entry, sha256))
    refused = sum(problem.outcome == ImportProblem.Outcome.REFUSED for _, problem in lines)
    with transaction.atomic():
        # A worker that was taken for dead may still be running: once the batch is finished it writes nothing.
        row = ImportBatch.objects.select_for_update(no_key=True).filter(pk=batch.pk).first()
        if row is None or row.finished_at is not None:
            raise AlreadyFinishedError
        Image.objects.bulk_create(rows, ignore_conflicts=True)
        lines += _duplicates(batch, taken, seen)
        report.add(lines)
    return len(taken), refused


def _duplicates(
    batch: ImportBatch, taken: list[tuple[Entry, str]], seen: NumberSet
) -> list[tuple[str, ProblemError | Note]]:
    """A line for each entry whose content was kept under another entry's name. `seen`: images met before."""
    hashes = {sha256 for _, sha256 in taken}
    kept = {
        sha256: (pk, name, batch_id)
        for pk, sha256, name, batch_id in Image.objects.filter(
            dataset=batch.dataset, sha256__in=hashes
        ).values_list("pk", "sha256", "name", "batch_id")
    }
    lines: list[tuple[str, ProblemError | Note]] = []
    for entry, sha256 in taken:
        pk, name, batch_id = kept[sha256]
        if batch_id == batch.pk and name == entry.name and seen.add(pk):
            continue  # this entry is the image itself
        lines.append((entry.where or entry.name, ProblemError("duplicate", kept=name)))
    return lines


def record_problems(batch: ImportBatch, problems: Iterable[tuple[str, ProblemError | Note]]) -> None:
    """Store lines of the import's report; the same file with the same code once."""
    Report(batch).add(problems)
