"""Metadata for images that the dataset has already, matched by name, by a duplicate's name or by SHA-256."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from mekiki.datasets.hooks import LabelledImage, store_labels
from mekiki.datasets.importing import metadata
from mekiki.datasets.importing.manifests.rows import MAX_KEYS, RowLabel
from mekiki.datasets.importing.metadata_fields import ImportedFields
from mekiki.datasets.importing.report import NumberSet, Report
from mekiki.datasets.importing.windows import reassign_windows
from mekiki.datasets.models import Dataset, Image, ImageName, ImportBatch
from mekiki.datasets.problems import ReportLine

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA256_LENGTH = 64
_CHUNK = 500


@dataclass(frozen=True)
class Update:
    """Metadata and labels for one image. `where` is the file or row of the values, for the report."""

    image: int
    where: str
    values: dict[str, str]
    labels: tuple[RowLabel, ...] = ()


def apply_updates(
    batch: ImportBatch, updates: list[Update], applied: NumberSet, fields: ImportedFields
) -> list[tuple[str, ReportLine]]:
    """Write metadata values into images and return report lines. Call it in a transaction.

    The transaction has locked `fields` already.
    All other values of an image are kept. `applied` holds the images that got values from this import. A
    second, different value for such an image is reported and not written.
    """
    locked = Image.objects.select_for_update(of=("self",)).select_related("window").order_by("pk")
    images = locked.in_bulk({update.image for update in updates})
    lines: list[tuple[str, ReportLine]] = []
    changed: dict[int, Image] = {}
    for update in updates:
        image = images.get(update.image)
        if image is None:
            continue
        values = dict(update.values)
        if not applied.add(image.pk):
            differing = sorted(k for k, v in values.items() if image.metadata.get(k, v) != v)
            if differing:
                columns = ", ".join(f"{k}: {image.metadata[k]} / {values.pop(k)}" for k in differing)
                detail = {"kept": image.name, "columns": columns}
                lines.append((update.where, ReportLine("metadata_differs", "partly", detail)))
        merged = image.metadata | values
        if len(merged) > MAX_KEYS:
            left_out = [key for key in merged if key not in image.metadata][MAX_KEYS - len(image.metadata) :]
            merged = {key: value for key, value in merged.items() if key not in left_out}
            more: dict[str, object] = {
                "count": len(left_out),
                "limit": MAX_KEYS,
                "columns": ", ".join(left_out[:5]),
            }
            lines.append((update.where, ReportLine("metadata_columns", "partly", more)))
        if merged != image.metadata:
            image.metadata = merged
            changed[image.pk] = image
    reassign_windows(changed.values())
    columns_of_image = ["metadata", "window", "window_version"]
    Image.objects.bulk_update(changed.values(), columns_of_image, batch_size=_CHUNK)
    fields.store(changed.values())
    known = sum(image.batch_id != batch.pk for image in changed.values())
    if known:
        ImportBatch.objects.filter(pk=batch.pk).update(metadata_changed=F("metadata_changed") + known)
    return lines


def match_known(
    batch: ImportBatch,
    tables: list[metadata.Tables],
    report: Report,
    applied: NumberSet,
    fields: ImportedFields,
) -> None:
    """Apply rows that matched no file of the import to images of the dataset. Report unused rows."""
    for table in (table for folder_tables in tables for table in folder_tables.all()):
        for rows in table.unmatched(_SHA256_LENGTH):
            cells = ((row.cell.lower(), row) for row in rows)
            by_hash = {sha256: row for sha256, row in cells if _SHA256.fullmatch(sha256)}
            stored = Image.objects.filter(dataset=batch.dataset, sha256__in=by_hash)
            updates = []
            for sha256, pk in stored.values_list("sha256", "pk"):
                row = by_hash[sha256]
                table.mark_used(row)
                updates.append(Update(pk, f"{table.label} ({row.line})", row.values, row.labels))
            _write(batch, updates, report, applied, fields)
        if not table.only_unmatched():
            continue
        for pk, name in _known_names(batch.dataset):
            table.claim(metadata.parts_of(name), str(pk))
        updates = []
        for pk, name in _known_names(batch.dataset):
            table_row = table.row(metadata.parts_of(name))
            if table_row is not None and (table_row.values or table_row.labels):
                where = f"{table.label} ({table_row.line})"
                updates.append(Update(pk, where, table_row.values, table_row.labels))
            if len(updates) >= _CHUNK:
                _write(batch, updates, report, applied, fields)
                updates = []
        _write(batch, updates, report, applied, fields)
    for folder_tables in tables:
        report.add(folder_tables.lines())


def _write(
    batch: ImportBatch, updates: list[Update], report: Report, applied: NumberSet, fields: ImportedFields
) -> None:
    if not updates:
        return
    with transaction.atomic():
        # The batch is locked first, as in the pipeline, so that two workers on one import wait for each
        # other.
        ImportBatch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        fields.lock()
        report.add(apply_updates(batch, [update for update in updates if update.values], applied, fields))
        labelled = [LabelledImage(one.image, one.where, one.labels) for one in updates if one.labels]
        report.add(store_labels(batch, labelled))


def _known_names(dataset: Dataset) -> Iterator[tuple[int, str]]:
    """Yield (id, name) of every image, with its name and the names of its duplicates."""
    yield from Image.objects.filter(dataset=dataset).order_by("pk").values_list("pk", "name").iterator()
    others = ImageName.objects.filter(image__dataset=dataset).order_by("pk")
    yield from others.values_list("image_id", "name").iterator()
