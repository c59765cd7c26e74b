"""Reads TIFF with tifffile.

It supports all depths, signs, byte orders, planes, tiles, palettes, CMYK, LAB and BigTIFF.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import jpeg
from imaging.errors import ImagingError
from imaging.limits import check_pixels

MAX_PAGES = 10_000
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, SEPARATED, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
# None, CCITT, LZW, JPEG, Deflate, PackBits, LZMA, Zstandard, JPEG 2000. Their unpacked size is bounded or can
# be read beforehand.
_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 33003, 33004, 33005, 33007, 34712, 34925, 50000}
_WITH_SIZES = {6, 7, 33003, 33004, 33005, 33007, 34712}
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_MAX_PROFILE = 16 * 1024 * 1024


class TifffileError(Exception):
    """The error that tifffile cannot decode a page. Pillow decodes some of these pages."""


@dataclass
class Tiff:
    """An open TIFF: the pages that are pictures, and the chosen page."""

    pages: list[Any]
    chosen: int  # index into `pages`
    frames: int = 1  # planes behind the chosen page that have no separate page (ImageJ, volumes)

    @property
    def page(self) -> Any:
        return self.pages[self.chosen]


@contextmanager
def open_tiff(data: bytes, limit: int | None) -> Iterator[Tiff]:
    """Open a TIFF and choose its largest page.

    Raises ImagingError with the code damaged, truncated or too_many_pixels.
    """
    import tifffile

    try:
        file = tifffile.TiffFile(io.BytesIO(data))
    except Exception as error:
        raise _broken(error) from None
    with file:
        try:
            pages = _pictures(file)
            if not pages:
                raise ImagingError("damaged")
            areas = [page.imagewidth * page.imagelength for page in pages]
            chosen = areas.index(max(areas))
            page = pages[chosen]
            frames = max(1, int(getattr(page, "imagedepth", 1) or 1))
            if file.is_imagej and len(pages) == 1:
                frames = max(frames, int((file.imagej_metadata or {}).get("images", 1)))
        except ImagingError:
            raise
        except Exception as error:
            raise _broken(error) from None
        check_pixels(page.imagewidth, page.imagelength, limit)
        # Planes and channels count too. A colour image with alpha of the largest size sets the memory limit.
        planes = -(-max(1, int(page.samplesperpixel)) * max(1, int(page.imagedepth or 1)) // 4)
        check_pixels(page.imagewidth * planes, page.imagelength, limit)
        yield Tiff(pages, chosen, frames)


def _pictures(file: Any) -> list[Any]:
    """Return the pages that are pictures. Reduced copies and masks count only if there is nothing else."""
    pictures: list[Any] = []
    reduced: list[Any] = []
    seen: set[int] = set()
    for page in file.pages:
        # In a damaged or hostile file a page can point to itself.
        if len(seen) >= MAX_PAGES or page.offset in seen:
            break
        seen.add(page.offset)
        # tifffile reads pages after the first as light "frames" if possible.
        page = page.aspage() if hasattr(page, "aspage") else page
        if not page.imagewidth or not page.imagelength:
            continue
        (reduced if int(page.subfiletype or 0) & (_REDUCED | _MASK) else pictures).append(page)
    return pictures or reduced


def _broken(error: Exception) -> ImagingError:
    text = str(error).lower()
    short = any(
        word in text
        for word in (
            "truncat",
            "unexpected end",
            "requires a buffer",
            "corrupt",
            "eof",
            "failed to read",
            "not enough",
        )
    )
    return ImagingError("truncated" if short else "damaged")


def array(page: Any) -> NDArray[Any]:
    """Return the values as stored, (h, w) or (h, w, c).

    Raises ImagingError with the code damaged, truncated or unsupported_format. Raises TifffileError if
    tifffile cannot decode the page.
    """
    try:
        _check_segments(page)
        pixels = np.asarray(page.asarray(maxworkers=1))
    except ImagingError:
        raise
    except NotImplementedError as error:
        raise TifffileError(str(error)) from None
    except Exception as error:
        if "not supported" in str(error) or "cannot decode" in str(error):
            raise TifffileError(str(error)) from None
        raise _broken(error) from None
    axes = page.axes
    while pixels.ndim > len(axes):
        pixels = pixels[0]
    for name in [a for a in axes if a not in "YXS"]:
        pixels = pixels.take(0, axis=axes.index(name))
        axes = axes.replace(name, "", 1)
    if "S" in axes:
        pixels = np.moveaxis(pixels, axes.index("S"), -1)
    if pixels.shape[:2] != (page.imagelength, page.imagewidth):
        raise ImagingError("damaged")
    return pixels


def _check_segments(page: Any) -> None:
    """Refuse data that would be read as black, or could need unlimited memory.

    This is a strip or tile behind the end of the file, or a compression that does not show its unpacked size
    beforehand.
    """
    if int(page.compression) not in _COMPRESSIONS:
        name = getattr(page.compression, "name", str(page.compression))
        raise ImagingError("unsupported_format", format=f"TIFF ({name})")
    file = page.parent.filehandle
    largest = 4 * max(
        page.imagewidth * page.imagelength, int(page.tilewidth or 0) * int(page.tilelength or 0), 1 << 16
    )
    for offset, count in zip(page.dataoffsets, page.databytecounts):
        if count and offset + count > file.size:
            raise ImagingError("truncated")
        if count and int(page.compression) in _WITH_SIZES:
            file.seek(offset)
            width, height = _size_inside(file.read(min(count, 1 << 16)))
            if width * height > largest:
                raise ImagingError("damaged")


def _size_inside(segment: bytes) -> tuple[int, int]:
    """Return the size that a JPEG or JPEG 2000 stream states, or (0, 0) if it states none."""
    at = segment.find(b"\xff\x4f\xff\x51")
    if at >= 0 and len(segment) >= at + 16:
        width, height = struct.unpack_from(">II", segment, at + 8)
        return width, height
    header = jpeg.parse(segment)
    return header.width, header.height


def sample_type(page: Any) -> str | None:
    """Return the NumPy type name of a deep page ("uint16", "float32"), or None for at most 8 bits."""
    if page.photometric in {PALETTE, YCBCR, CIELAB, ICCLAB}:
        return None
    dtype = page.dtype
    if dtype is None or dtype.kind not in "uif" or dtype == np.uint8:
        return None
    return str(np.dtype(dtype).newbyteorder("=").name)


def nodata(page: Any) -> float | None:
    """Return the value that GDAL writes for missing values, or None."""
    tag = page.tags.get(42113)
    try:
        return None if tag is None else float(str(tag.value).strip("\0 \n"))
    except ValueError:
        return None


def tag(page: Any, code: int, default: Any = None) -> Any:
    """Return a tag's value, or the default if it is missing or broken."""
    try:
        entry = page.tags.get(code)
        return default if entry is None else entry.value
    except Exception:
        return default


def orientation(page: Any) -> int:
    """Return the orientation tag, 1 to 8."""
    try:
        value = int(tag(page, 274, 1))
    except (TypeError, ValueError):
        return 1
    return value if 1 <= value <= 8 else 1


def profile(page: Any) -> bytes:
    """Return the ICC profile, or b"" if there is none or it is too large."""
    value = tag(page, 34675, b"")
    value = bytes(value) if isinstance(value, bytes | tuple | list) else b""
    return value if len(value) <= _MAX_PROFILE else b""


def split_alpha(page: Any, pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None, int]:
    """Return (colour values (h, w) or (h, w, 3 or 4), alpha (h, w) or None, number of channels left out)."""
    if pixels.ndim == 2:
        return pixels, None, 0
    colours = {RGB: 3, SEPARATED: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}.get(int(page.photometric), 1)
    count = pixels.shape[2]
    colours = min(colours, count) if colours in {1, 3, 4} else 1
    if colours == 3 and count < 3:
        colours = 1
    extra = [int(kind) for kind in page.extrasamples or ()]
    alpha, left_out = None, count - colours
    for number, kind in enumerate(extra):
        if kind in {1, 2} and colours + number < count:
            alpha = pixels[..., colours + number]
            left_out -= 1
            break
    main = pixels[..., :colours]
    return (main[..., 0] if colours == 1 else main), alpha, left_out
