"""Writes a label set's file: streamed, signed, and with the same bytes at every attempt."""

import contextlib
import csv
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from mekiki.audit.private_key import load_key
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.config.csv_files import BOM
from mekiki.config.disk import READ_ONLY, DiskFullError
from mekiki.datasets import storage
from mekiki.datasets.models import Image
from mekiki.exports import snapshot
from mekiki.exports.certificate_record import write_record
from mekiki.exports.lineage import Lineage, heads_book, schema_book
from mekiki.exports.models import LabelSet
from mekiki.exports.readme import readme
from mekiki.exports.sealed_rows import seal_decisions
from verification import signing
from verification.label_set import format as form
from verification.label_set.archive import Sink, Writer

PIECE = 1 << 20


class DamagedImageError(Exception):
    """An error for a stored original that differs from the judged image. The text names the image."""


def stored_name(label_set: LabelSet) -> str:
    """Return the name of the file in the storage."""
    return f"datasets/{label_set.dataset_id}/label-sets/v{label_set.version}.zip"


def write_label_set(*, label_set: LabelSet, progress: Callable[[int, int], None]) -> LabelSet:
    """Freeze a label set: fix its entries, write, sign and store its file, and mark it frozen.

    The process may be killed at any point, and the function may be called again. The entries are fixed once,
    the bytes follow from them, and the mark comes last. `progress(done, total)` is called about once a second
    or more often. If it raises an exception, the writing stops and no partial file is stored. Raises
    ValidationError as snapshot.take_snapshot does, and DamagedImageError.
    """
    label_set = snapshot.take_snapshot(label_set)
    if label_set.state == LabelSet.State.FROZEN:
        return label_set
    seal_decisions(label_set, progress=lambda: progress(0, _total(label_set)))
    with _draft(label_set) as path:
        with path.open("w+b") as file:
            manifest_sha256 = _write(label_set, file, progress)
            os.fsync(file.fileno())
        size, sha256 = path.stat().st_size, _sha256(path)
        name = _store(path, stored_name(label_set))
    with transaction.atomic():
        row = LabelSet.objects.select_for_update().get(pk=label_set.pk)
        if row.state == LabelSet.State.FROZEN:  # Another worker ran the same job and finished first.
            return row
        row.state = LabelSet.State.FROZEN
        row.file, row.size, row.sha256, row.manifest_sha256 = name, size, sha256, manifest_sha256
        row.frozen_at = clock.now()
        row.save()
        record(
            kind="label_set.frozen",
            actor=row.created_by,
            dataset=row.dataset,
            target=row,
            data={
                "version": row.version,
                "human_labels": row.human_labels,
                "machine_labels": row.machine_labels,
                "sha256": sha256,
                "manifest_sha256": manifest_sha256,
            },
        )
    return row


def _total(label_set: LabelSet) -> int:
    """Return the number of progress steps: labels, and images if they are included."""
    labels = label_set.human_labels + label_set.machine_labels
    return labels * 2 if label_set.include_images else labels


def _write(label_set: LabelSet, file: BinaryIO, progress: Callable[[int, int], None]) -> str:
    """Write the whole zip into `file`; return the SHA-256 of the manifest."""
    total = _total(label_set)
    progress(0, total)
    lineage = Lineage(label_set)
    writer = Writer(file)
    done = 0
    # Compressing and hashing release the GIL, so a second thread does them while the next rows are created.
    with tempfile.TemporaryFile(dir=_folder_of_drafts(label_set)) as table, ThreadPoolExecutor(1) as beside:
        cells = Sink(table, packed=True)
        with writer.entry(form.ROWS, packed=True) as rows:
            before = beside.submit(cells.write, BOM.encode() + _csv([list(lineage.columns)]))
            for batch in lineage.batches():
                lines = b"".join([form.row_line(row) for _image, row in batch])
                text = _csv([form.row_cells(row) for _image, row in batch])
                before.result()
                before = beside.submit(_put_both, rows, lines, cells, text)
                done += len(batch)
                progress(done, total)
            before.result()
        cells.close()
        writer.append(form.TABLE, cells, cast(BinaryIO, table))
    if label_set.snapshot.get("certificate"):
        write_record(label_set, writer, lineage.seals, progress=lambda: progress(done, total))
    with writer.entry(form.SEALS, packed=True) as seals:
        for proof in lineage.seals.proofs():
            seals.write(form.canonical(proof) + b"\n")
            progress(done, total)
    writer.add(form.KEYS, form.canonical({"keys": lineage.seals.keys()}))
    heads = lineage.heads()
    writer.add(form.SCHEMA, form.canonical(schema_book(label_set, heads)))
    writer.add(form.HEADS, form.canonical(heads_book(heads)))
    writer.add(form.README, readme(label_set).encode())
    if label_set.include_images:
        for batch in lineage.batches():
            for image_id, row in batch:
                _write_image(label_set, writer, image_id, row)
                done += 1
                if done % 50 == 0:
                    progress(done, total)
    _row, key = load_key()
    manifest = form.canonical(_manifest(label_set, writer, key, lineage.format_version))
    writer.add(form.MANIFEST, manifest)
    writer.add(form.SIGNATURE, key.sign(manifest))
    writer.add(form.PUBLIC_KEY, signing.public_pem(key))
    writer.finish()
    progress(total, total)
    return hashlib.sha256(manifest).hexdigest()


def _put_both(rows: Sink, lines: bytes, cells: Sink, text: bytes) -> None:
    rows.write(lines)
    cells.write(text)


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _write_image(label_set: LabelSet, writer: Writer, image_id: int, row: dict[str, Any]) -> None:
    image = Image(pk=image_id, dataset_id=label_set.dataset_id, sha256=row["image_sha256"])
    with storage.open_original(image) as source, writer.entry(row["image_file"]) as sink:
        while piece := source.read(PIECE):
            sink.write(piece)
    if writer.entries[-1].sha256 != image.sha256:
        raise DamagedImageError(
            f"The stored file of {row['file_name']} ({image.sha256}) is damaged: its hash differs."
        )


def _manifest(
    label_set: LabelSet, writer: Writer, key: Ed25519PrivateKey, format_version: int
) -> dict[str, Any]:
    fixed = label_set.snapshot
    labels = label_set.human_labels + label_set.machine_labels
    machine = {"machine_labels": fixed["machine"]} if "machine" in fixed else {}
    # Only of label sets that have them. Other label sets have the same bytes as before.
    contents = {name: fixed[name] for name in ("view", "excluded") if name in fixed}
    return {
        **machine,
        **contents,
        "format": form.FORMAT,
        "format_version": format_version,
        "dataset": fixed["dataset"],
        "version": label_set.version,
        "note": label_set.note,
        "frozen_at": fixed["taken_at"],
        "frozen_by": fixed["by"],
        "decision_horizon": fixed["decision_horizon"],
        "machine_threshold": label_set.machine_threshold,
        "counts": {
            "labels": labels,
            "human": label_set.human_labels,
            "machine": label_set.machine_labels,
            "images": labels if label_set.include_images else 0,
        },
        "accuracy": fixed["accuracy"],
        "once_critical": fixed.get("once_critical", []),
        "files": {entry.name: {"size": entry.size, "sha256": entry.sha256} for entry in writer.entries},
        "signature": {
            "algorithm": "Ed25519",
            "over": form.MANIFEST,
            "fingerprint": signing.fingerprint(signing.public_pem(key)),
        },
    }


@contextlib.contextmanager
def _draft(label_set: LabelSet) -> Iterator[Path]:
    """Yield a temporary file, and delete drafts of killed attempts before.

    The draft is in the folder of its final file if the storage is on a disk.
    """
    prefix = f".draft-{label_set.dataset_id}-v{label_set.version}-"
    folder = _folder_of_drafts(label_set)
    for left in folder.glob(f"{prefix}*"):
        left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=prefix, dir=folder)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _folder_of_drafts(label_set: LabelSet) -> Path:
    """Return the folder for drafts.

    It is on the disk of the label set, whose free space is monitored. /tmp may be small. Raises NoRoomError
    if the folder cannot be written.
    """
    try:
        folder = Path(default_storage.path(stored_name(label_set))).parent
    except NotImplementedError:
        return Path(tempfile.gettempdir())
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except PermissionError as problem:
        raise DiskFullError(READ_ONLY) from problem
    return folder


def _store(path: Path, name: str) -> str:
    """Move the file into the storage, completely or not at all; return its name in the storage."""
    try:
        target = Path(default_storage.path(name))
    except NotImplementedError:
        # Object storages store whole objects. The object of an earlier attempt has the same bytes.
        default_storage.delete(name)
        with path.open("rb") as file:
            return default_storage.save(name, File(file))
    shutil.move(path, target)
    return name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
