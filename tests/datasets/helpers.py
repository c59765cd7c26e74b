"""Small files created for tests, and what an import stored."""

import io
import struct
import zipfile
import zlib

import numpy as np
from django.core.files.storage import default_storage
from PIL import Image as Pillow

from mekiki.datasets.models import Dataset, ImportBatch

Files = dict[str, bytes]


def picture(seed: int = 0, size: tuple[int, int] = (40, 30), kind: str = "JPEG", mode: str = "RGB") -> bytes:
    """Return the bytes of a small image. Another seed gives another image."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Pillow.fromarray(noise).convert(mode).save(out, kind)
    return out.getvalue()


def animation() -> bytes:
    """Return a GIF of three frames."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 10, 20), dtype=np.uint8)
    first, *others = [Pillow.fromarray(frame).convert("P") for frame in noise]
    out = io.BytesIO()
    first.save(out, "GIF", save_all=True, append_images=others, duration=100)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG of a few dozen bytes that claims to be huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def zipped(files: Files) -> bytes:
    """Return a zip archive of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def codes(batch: ImportBatch) -> dict[str, str]:
    """Return the code of each file that was refused or accepted in part, by name."""
    return dict(batch.problems.filter(outcome__in=["refused", "partly"]).values_list("name", "code"))


def lines(batch: ImportBatch, outcome: str) -> dict[str, str]:
    """Return the code of each line of the report with one outcome, by name."""
    return dict(batch.problems.filter(outcome=outcome).values_list("name", "code"))


def stored_names(dataset: Dataset, kind: str = "originals") -> list[str]:
    """Return the file names under datasets/<id>/<kind>/, drafts included."""
    names: list[str] = []
    base = f"datasets/{dataset.pk}/{kind}"
    if default_storage.exists(base):
        for folder in default_storage.listdir(base)[0]:
            names += default_storage.listdir(f"{base}/{folder}")[1]
    return names
