"""Recording of what an import stores: images, further names, metadata, labels and report lines, in chunks."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from django.db import transaction

from mekiki.datasets import quotas, storage
from mekiki.datasets.hooks import LabelledImage, store_labels
from mekiki.datasets.importing import pictures
from mekiki.datasets.importing.entries import Entry
from mekiki.datasets.importing.manifests.rows import MAX_KEYS
from mekiki.datasets.importing.metadata_fields import ImportedFields
from mekiki.datasets.importing.metadata_updates import Update, apply_updates
from mekiki.datasets.importing.path_patterns import PathPattern, compile_pattern
from mekiki.datasets.importing.report import NumberSet, Report
from mekiki.datasets.models import Image, ImageName, ImportBatch, ImportProblem, PixelWindow, SeenFile
from mekiki.datasets.problems import ProblemError, ReportLine
from mekiki.jobs.in_hand import ItemsInHand

NAMES_LISTED = 10  # other names of an image in one line of the report


class AlreadyFinishedError(Exception):
    """Error for a batch that another worker has finished in the meantime."""


@dataclass
class Chunk:
    """A few dozen entries that pass through the threads together."""

    size: int = 0
    files: int = 0
    alone: bool = False  # no other file may be examined at the same time
    good: list[tuple[Entry, str, "Future[pictures.Picture] | None"]] = field(default_factory=list)
    pixel_windows: dict[str, PixelWindow] = field(default_factory=dict)  # by hash, of deep images
    bad: list[tuple[str, ProblemError | ReportLine]] = field(default_factory=list)
    # The row of a manifest up to which this and all earlier chunks go.
    position: int | None = None
    # Of files that were refused for good: they are not taken again.
    marks: list[tuple[str, str]] = field(default_factory=list)
    # False near a storage limit: files are then written only after it is known that they fit.
    is_written: bool = True


def audit_key(seed: str, sha256: str) -> float:
    """Return a uniform number in [0, 1) for an image. Below the audit share: the audit reserve.

    It is the first 53 bits of the SHA-256 of seed, a zero byte and the hash. workers.acquisition.audit
    computes the same number (a test compares them), and an auditor can do so too.
    """
    digest = hashlib.sha256(seed.encode() + b"\0" + sha256.lower().encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / float(1 << 53)


def write_files(dataset_id: int, sha256: str, data: bytes, picture: pictures.Picture) -> None:
    """Write an original, its thumbnail and its display file."""
    if picture.display is not None:
        storage.write_atomically(storage.display_name(dataset_id, sha256), picture.display)
    storage.write_atomically(storage.thumb_name(dataset_id, sha256), picture.thumb)
    storage.write_atomically(storage.original_name(dataset_id, sha256), data)


class Recorder:
    """The recording part of one run over an import."""

    def __init__(self, batch: ImportBatch, hand: ItemsInHand) -> None:
        self.batch = batch
        self._hand = hand
        self.report = Report(batch)
        self.fields = ImportedFields(batch)
        # `met`: images of this import with an entry that was seen. `applied`: images that got metadata.
        self.met, self.applied = NumberSet(), NumberSet()
        self._pattern = compile_pattern(batch.path_pattern)
        self._position = batch.entries_done  # the last row of a manifest that this run has finished

    def finish(self, window: Chunk) -> tuple[int, int]:
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
                    if entry.mark is not None and problem.code != "no_memory":
                        window.marks.append(entry.mark)
                    continue
                # Notes about an accepted picture, such as frames that were left out.
                lines += [(where, note) for note in picture.notes]
                shown_by = window.pixel_windows.get(sha256)
                image = _image(self.batch, entry, sha256, picture, shown_by, self._pattern)
                new.append((entry, image, picture))
            lines += [(where, note) for note in entry.notes]
            taken.append((entry, sha256))
        with transaction.atomic():
            # A worker that was considered dead may still run. It must write nothing after the batch is
            # finished.
            row = ImportBatch.objects.select_for_update(no_key=True).filter(pk=self.batch.pk).first()
            if row is None or row.finished_at is not None:
                raise AlreadyFinishedError
            self.fields.lock()
            full = self._beyond_limits([image for _entry, image, _picture in new])
            rows = []
            for entry, image, picture in new:
                if image.sha256 in full:
                    lines.append((entry.where or entry.name, full[image.sha256]))
                    continue
                rows.append(image)
                if not window.is_written:
                    write_files(image.dataset_id, image.sha256, entry.data, picture)
            taken = [(entry, sha256) for entry, sha256 in taken if sha256 not in full]
            Image.objects.bulk_create(rows, ignore_conflicts=True)
            lines += self._record_known(taken)
            marks = [entry.mark for entry, _sha256 in taken if entry.mark is not None]
            self._record_marks([*window.marks, *marks])
            self.report.add(lines)
            self._hand.done(sha256 for _entry, sha256, _future in window.good)
            refused = sum(problem.outcome == ImportProblem.Outcome.REFUSED for _, problem in lines)
            # The pages of one file may be in two chunks, so such an import does not resume in the middle.
            if window.position is not None and not row.every_page:
                self._save_position(row, window.position, len(taken), refused)
        return len(taken), refused

    def _save_position(self, row: ImportBatch, position: int, taken: int, refused: int) -> None:
        """Store up to which row of a manifest the import is finished.

        A worker that was considered dead may have finished rows too. They are then counted once.
        """
        if position > row.entries_done:
            if row.entries_done == self._position:
                row.entries_taken += taken
                row.entries_refused += refused
            row.entries_done = position
            row.save(update_fields=["entries_done", "entries_taken", "entries_refused"])
        self._position = position

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

    def _record_marks(self, marks: Iterable[tuple[str, str]]) -> None:
        """Record which files of a bucket or a watched folder are taken."""
        rows = [
            SeenFile(
                dataset_id=self.batch.dataset_id,
                place=self.batch.location,
                name=name,
                mark=mark,
                state=SeenFile.State.TAKEN,
                batch=self.batch,
            )
            for name, mark in dict(marks).items()
        ]
        SeenFile.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["dataset", "place", "name"],
            update_fields=["mark", "state", "batch"],
        )

    def _record_known(self, taken: list[tuple[Entry, str]]) -> list[tuple[str, ProblemError | ReportLine]]:
        """Store further names and metadata of entries with known content. Return report lines."""
        hashes = {sha256 for _, sha256 in taken}
        stored = Image.objects.filter(dataset=self.batch.dataset, sha256__in=hashes).only(
            "sha256", "name", "batch_id", "metadata"
        )
        kept = {image.sha256: image for image in stored}
        others = _other_names([image.pk for image in stored])
        lines: list[tuple[str, ProblemError | ReportLine]] = []
        names, updates, labelled = [], [], []
        for entry, sha256 in taken:
            image = kept.get(sha256)
            if image is None:  # removed at this moment by another process
                continue
            where = entry.where or entry.name
            is_own = image.batch_id == self.batch.pk and image.name == entry.name and self.met.add(image.pk)
            if not is_own:
                known = [name for name in others.get(image.pk, []) if name != entry.name]
                shown = {"others": ", ".join(known[:NAMES_LISTED])} if known else {}
                lines.append((where, ProblemError("duplicate", kept=image.name, **shown)))
                if entry.name != image.name:
                    names.append(ImageName(image=image, name=entry.name, batch=self.batch))
            if entry.labels:
                labelled.append(LabelledImage(image.pk, where, entry.labels))
            if entry.metadata:
                if is_own and entry.metadata.items() <= image.metadata.items():
                    self.applied.add(image.pk)
                else:
                    updates.append(Update(image.pk, where, entry.metadata))
        ImageName.objects.bulk_create(names, ignore_conflicts=True)
        self.fields.store(image for image in stored if image.batch_id == self.batch.pk)
        lines += store_labels(self.batch, labelled)
        return [*lines, *apply_updates(self.batch, updates, self.applied, self.fields)]


def _other_names(image_ids: list[int]) -> dict[int, list[str]]:
    """Return image id → its other names, in the order in which they came."""
    names: dict[int, list[str]] = {}
    for image, name in (
        ImageName.objects.filter(image__in=image_ids).order_by("pk").values_list("image_id", "name")
    ):
        names.setdefault(image, []).append(name)
    return names


def _image(
    batch: ImportBatch,
    entry: Entry,
    sha256: str,
    picture: pictures.Picture,
    shown_by: PixelWindow | None,
    pattern: PathPattern,
) -> Image:
    # A table has priority over the path, and the path over the file itself.
    metadata = {**picture.captured, **pattern.values(entry.name), **(entry.metadata or {})}
    return Image(
        dataset=batch.dataset,
        sha256=sha256,
        name=entry.name,
        format=picture.format,
        width=picture.width,
        height=picture.height,
        size=len(entry.data),
        metadata=dict(list(metadata.items())[:MAX_KEYS]),
        audit_key=audit_key(batch.dataset.seed, sha256),
        batch=batch,
        window=shown_by,
        window_version=shown_by.version if shown_by else 0,
        has_display=picture.display is not None,
    )
