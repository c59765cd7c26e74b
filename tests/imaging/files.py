"""Unusual image files, created for tests."""

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms

WIDTH, HEIGHT = 64, 48
GREY = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
COLOUR = np.stack([GREY, GREY[:, ::-1], np.full_like(GREY, 90)], -1)


def tiff(pixels: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **({"photometric": "minisblack", "metadata": None} | options))
    return out.getvalue()


def encode(image: Any, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def png16(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def add_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Return the PNG with more chunks after its header."""
    return png[:33] + b"".join(chunk(name, data) for name, data in chunks) + png[33:]


def add_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """Return the JPEG with one more segment after its start."""
    return jpeg[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def linear_profile(kind: str = "RGB") -> bytes:
    """Return a small ICC profile (version 2) with gamma 1.0, as linear cameras write it.

    Use "GRAY" for grey images.
    """

    def s15(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + s15(*values)

    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    text = b"desc\0\0\0\0" + struct.pack(">I", 7) + b"linear\0" + b"\0" * 78
    tags = {b"desc": text, b"wtpt": xyz(0.9642, 1.0, 0.8249)}
    if kind == "GRAY":
        tags |= {b"kTRC": curve}
    else:
        tags |= {
            b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
            b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
            b"bXYZ": xyz(0.1431, 0.0606, 0.7139),
            b"rTRC": curve,
            b"gTRC": curve,
            b"bTRC": curve,
        }
    table, body = struct.pack(">I", len(tags)), b""
    offset = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += b"\0" * (-len(data) % 4)
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = bytearray(128)
    header[8:12] = b"\x02\x10\0\0"
    header[12:16], header[16:20], header[20:24] = b"mntr", kind.ljust(4).encode(), b"XYZ "
    header[36:40] = b"acsp"
    header[68:80] = s15(0.9642, 1.0, 0.8249)
    header[0:4] = struct.pack(">I", 128 + len(table) + len(body))
    return bytes(header) + table + body


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def apng(default_is_hidden: bool = True) -> bytes:
    """Return an animation of two red frames with a blue still picture, which is a frame only on request."""
    still = encode(np.full((20, 30, 3), (0, 0, 200), np.uint8), "PNG")
    red = encode(np.full((20, 30, 3), (200, 0, 0), np.uint8), "PNG")
    data = red[red.index(b"IDAT") - 4 :]
    (size,) = struct.unpack(">I", data[:4])
    pixels = data[8 : 8 + size]

    def control(number: int) -> bytes:
        return struct.pack(">IIIIIHHBB", number, 30, 20, 0, 0, 1, 10, 0, 0)

    at = still.index(b"IDAT") - 4
    end = still.index(b"IEND") - 4
    before = chunk(b"acTL", struct.pack(">II", 2, 0))
    number = 0
    if not default_is_hidden:
        before += chunk(b"fcTL", control(0))
        number = 1
    frames = b""
    for _frame in range(2):
        frames += chunk(b"fcTL", control(number)) + chunk(b"fdAT", struct.pack(">I", number + 1) + pixels)
        number += 2
    return still[:at] + before + still[at:end] + frames + still[end:]


def interlaced(pixels: np.ndarray) -> bytes:
    """Return the pixels as an interlaced PNG (Adam7), grey or RGB, of 8 or 16 bits."""
    rows = b""
    for x, y, across, down in (
        *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
        *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
    ):
        part = pixels[y::down, x::across]
        if part.size:
            rows += b"".join(b"\0" + row.astype(f">u{pixels.itemsize}").tobytes() for row in part)
    height, width = pixels.shape[:2]
    kind = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, pixels.itemsize * 8, kind, 0, 0, 1)
    packed = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + packed
