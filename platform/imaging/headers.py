"""Reads facts about a file without decoding its pixels."""

import io
import re
import warnings
from dataclasses import dataclass

from PIL import Image

from imaging import jpeg, png, tiff
from imaging.errors import ImagingError, wrap_library_errors
from imaging.limits import check_pixels
from imaging.sniff import format_of, refusal


@dataclass(frozen=True)
class Header:
    """Format and size as stored, before the orientation is applied.

    `sample` is the type of deep values ("uint16"), or "" for 8 bits.
    """

    format: str
    width: int
    height: int
    sample: str = ""
    pages: int = 1  # number of pages of a TIFF


def inspect(data: bytes, *, max_pixels: int | None = None) -> Header:
    """Return the header of a file. Raises ImagingError with the reason if the file is refused."""
    kind = format_of(data)
    if kind is None:
        raise refusal(data)
    with wrap_library_errors():
        return _header(data, kind, max_pixels)


def _header(data: bytes, kind: str, max_pixels: int | None) -> Header:
    if kind == "TIFF":
        with tiff.opened(data, max_pixels) as file:
            page = file.page
            sample = tiff.sample_type(page) or ""
            return Header(kind, page.imagewidth, page.imagelength, sample, len(file.pages))
    if kind == "PNG":
        parts = png.parse(data)
        check_pixels(parts.width, parts.height, max_pixels)
        return Header(kind, parts.width, parts.height, "uint16" if parts.bits == 16 else "")
    if kind == "JPEG":
        segments = jpeg.parse(data)
        if segments.width and segments.height:
            check_pixels(segments.width, segments.height, max_pixels)
            deep = "uint16" if segments.precision > 8 else ""
            return Header(kind, segments.width, segments.height, deep)
    with pillow(data, data, kind) as image:
        check_pixels(image.width, image.height, max_pixels)
        return Header(kind, image.width, image.height)


def pillow(data: bytes, original: bytes, kind: str) -> Image.Image:
    """Return Pillow's reader of the data.

    Raises ImagingError with the reason derived from `original`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=(kind,))
    except Exception:
        raise refusal(original) from None


def deep_sample(data: bytes) -> str:
    """Return the type of an image's deep values ("uint16").

    The result is "" for 8 bits and for a file that cannot be read.
    """
    kind = format_of(data)
    quick = kind == "TIFF" or (kind == "PNG" and data[24:25] == b"\x10")
    if kind == "JPEG":
        quick = re.search(rb"\xff[\xc1\xc3]\0.[\x09-\x10]", data[: 1 << 16], re.DOTALL) is not None
    if not quick:
        return ""
    try:
        return inspect(data, max_pixels=1 << 62).sample
    except ImagingError:
        return ""
