"""Identifies the format of a file by its first bytes."""

import re

from imaging.errors import ImagingError

_UNSUPPORTED_FORMATS = (
    (b"%PDF-", "PDF"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"v/1\x01", "OpenEXR"),
    (b"II\x2a\x00\x10\x00\x00\x00CR", "RAW"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"SIMPLE  =", "FITS"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
)
_ARCHIVES = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_FTYP = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}


def format_of(data: bytes) -> str | None:
    """Return "JPEG", "PNG", "WEBP", "BMP", "TIFF" or "GIF" by the first bytes, or None for others."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return "TIFF" if data[8:10] != b"CR" else None
    if data.startswith(b"BM"):
        return "BMP"
    return None


def refusal_reason(data: bytes) -> ImagingError:
    """Return the reason why the data is refused.

    The data is in none of our formats, or it could not be opened.
    """
    if not data:
        return ImagingError("empty_file")
    head = data[:2048]
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if re.match(rb"<svg|<(\?xml|!doctype svg|!--)[\s\S]*<svg", text):
        return ImagingError("svg")
    if head[4:8] == b"ftyp" and head[8:12] in _FTYP:
        return ImagingError("unsupported_format", format=_FTYP[head[8:12]])
    if data[128:132] == b"DICM":
        return ImagingError("unsupported_format", format="DICOM")
    for magic, name in _UNSUPPORTED_FORMATS:
        if head.startswith(magic):
            return ImagingError("unsupported_format", format=name)
    for magic, name in _ARCHIVES:
        if head.startswith(magic):
            return ImagingError("archive_kind", format=name)
    # The first bytes are those of our formats, but the rest is unreadable.
    if head.startswith(
        (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    ):
        return ImagingError("truncated" if len(data) < 1024 else "damaged")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return ImagingError("truncated" if len(data) < 1024 else "damaged")
    return ImagingError("not_an_image")
