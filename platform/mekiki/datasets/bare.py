"""Remove embedded text from image files: EXIF, XMP, IPTC, comments, and data after the end of the picture.

The encoded pixels stay as they are, byte for byte, with the colour profile and the orientation. Cameras and
inspection software write file names, operators and results into the removed places, and a reviewer could read
them in the browser.
"""

import io
import re
import struct
import zlib

from PIL import Image

import imaging
from imaging import exif, jpeg

_ORIENTATION = 0x0112
# PNG chunks that make up the picture and its colours. All other chunks are dropped.
_PNG_KEPT = {
    b"IHDR",
    b"PLTE",
    b"IDAT",
    b"IEND",
    b"tRNS",
    b"cHRM",
    b"gAMA",
    b"iCCP",
    b"sBIT",
    b"sRGB",
    b"cICP",
}
_PNG_KEPT |= {b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT"}
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}
# The next marker in the entropy-coded part of a JPEG. Stuffed bytes and restart markers are skipped.
_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")


def strip_embedded_text(data: bytes, kind: str) -> tuple[bytes, str]:
    """Return (file, format): the same picture without embedded text.

    `kind` is the format as in Image.format. A file with a structure that cannot be followed is decoded and
    saved as PNG, without loss.
    """
    strip = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}.get(kind)
    if strip is not None:
        try:
            return strip(data), kind
        except (ValueError, IndexError, OSError, SyntaxError, struct.error):
            pass
    out = io.BytesIO()
    with imaging.decoded(data) as decoded:
        decoded.image.save(out, "PNG")
    return out.getvalue(), "PNG"


def _orientation(data: bytes) -> int:
    """Return the orientation that the decoder applies.

    Pillow alone would also read an orientation from XMP, which browsers ignore.
    """
    if data.startswith(b"\xff\xd8"):
        block = jpeg.parse(data).exif
    else:
        with Image.open(io.BytesIO(data)) as image:
            raw = image.info.get("exif")
        block = raw if isinstance(raw, bytes) else b""
    return exif.read(block)[0]


def _exif(orientation: int) -> bytes:
    """Return a TIFF header that holds only the orientation."""
    entry = struct.pack("<HHIHH", _ORIENTATION, 3, 1, orientation, 0)
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 1) + entry + b"\0\0\0\0"


def _jpeg(data: bytes) -> bytes:
    if not data.startswith(b"\xff\xd8"):
        raise ValueError("no JPEG")
    parts = [b"\xff\xd8"]
    turned = _orientation(data)
    if turned != 1:
        block = b"Exif\x00\x00" + _exif(turned)
        parts.append(b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block)
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("no marker")
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if marker == 0xD9:  # end of the picture; phones and stereo cameras append more data
            return b"".join([*parts, b"\xff\xd9"])
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        if length < 2 or end > len(data):
            raise ValueError("a segment is cut short")
        # Kept application segments: JFIF, the colour profile, and Adobe's colour transform.
        kept = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}.get(marker)
        if kept is not None:
            if data.startswith(kept, at + 4):
                # JFIF may hold a thumbnail. Only its first 14 bytes are needed.
                parts.append(
                    b"\xff\xe0\x00\x10" + data[at + 4 : at + 16] + b"\0\0" if marker == 0xE0 else data[at:end]
                )
        elif marker == 0xDA:
            match = _MARKER.search(data, end)
            end = match.end() - 2 if match else len(data)
            parts.append(data[at:end])
            if not match:  # browsers also show a file without an end marker
                return b"".join([*parts, b"\xff\xd9"])
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            parts.append(data[at:end])
        at = end


def _png(data: bytes) -> bytes:
    signature = b"\x89PNG\r\n\x1a\n"
    if not data.startswith(signature):
        raise ValueError("no PNG")
    parts, at, turned = [signature], 8, _orientation(data)
    while True:
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError("a chunk is cut short")
        if name == b"iCCP":  # begins with the name of the profile, which is free text
            rest = data[at + 8 : end - 4].partition(b"\0")[2]
            parts.append(_chunk(name, b"icc\0" + rest))
        elif name in _PNG_KEPT:
            parts.append(data[at:end])
        if name == b"IHDR" and turned != 1:
            parts.append(_chunk(b"eXIf", _exif(turned)))
        if name == b"IEND":
            return b"".join(parts)
        at = end


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _webp(data: bytes) -> bytes:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise ValueError("no WebP")
    parts, at, turned = [], 12, _orientation(data)
    until = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= until:
        name, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        if at + 8 + length > len(data):
            raise ValueError("a chunk is cut short")
        chunk = data[at:end].ljust(end - at, b"\0")
        if name == b"VP8X":
            # Flags: EXIF 0x08, XMP 0x04.
            flags = (chunk[8] & ~0x0C) | (0x08 if turned != 1 else 0)
            chunk = chunk[:8] + bytes([flags]) + chunk[9:]
        if name in _WEBP_KEPT:
            parts.append(chunk)
        at = end
    if turned != 1 and parts and parts[0].startswith(b"VP8X"):
        block = _exif(turned)
        parts.append(b"EXIF" + struct.pack("<I", len(block)) + block)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body
