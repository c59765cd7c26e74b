"""Estimates from the header of a file the largest number of bytes that its decoding uses.

benchmarks/decoding_memory.py compares the estimates with measurements. All figures are upper bounds for the
decoders of this package. They cover the decoded values, the 8-bit picture (in Pillow 4 bytes per pixel of
colour, 1 of grey), and the steps after it (rotation, scaling down).
"""

from typing import Any

import numpy as np

from imaging import exif, jpeg, png, tiff

_OVERHEAD_BYTES, _BESIDE_LARGEST = (
    48,
    64 << 20,
)  # strips and library buffers: bytes per pixel, and the maximum
_JPEG_2000 = {33003, 33004, 33005, 34712}
_GREY, _COLOUR = 1, 4  # bytes per pixel


def of_jpeg(parts: jpeg.Jpeg, size: tuple[int, int], orientation: int) -> int:
    """Return the bytes for a JPEG that is decoded at this size."""
    pixels = size[0] * size[1]
    values = 2 * parts.samples if parts.whole_in_memory else 0
    if parts.precision > 8:
        colours = min(3, max(1, parts.components))
        whole = parts.width * parts.height
        beside = _overhead(whole) + values
        return beside + 2 * colours * whole + _picture_bytes(whole, colours > 1, orientation, own=False)
    has_own = parts.components != 4
    source = 0 if has_own else _COLOUR * pixels
    coloured = parts.components != 1 or bool(parts.profile)
    in_place = has_own and not parts.profile
    return _overhead(pixels) + values + source + _picture_bytes(pixels, coloured, orientation, own=in_place)


def of_png(parts: png.Png, orientation: int) -> int:
    """Return the bytes for a PNG."""
    pixels = parts.width * parts.height
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(parts.colour_type, 4)
    changes = bool(parts.transparent) or b"iCCP" in parts.colour
    coloured = parts.colour_type in {2, 3, 4, 6} or changes
    if parts.bits == 16:
        coloured = parts.colour_type in {2, 6} or (coloured and channels != 1) or changes
        return (
            _overhead(pixels)
            + 2 * channels * pixels
            + _picture_bytes(pixels, coloured, orientation, own=False)
        )
    if parts.colour_type in {0, 2} and not changes:
        return _overhead(pixels) + _picture_bytes(pixels, parts.colour_type == 2, orientation, own=True)
    source = _GREY if channels == 1 else _COLOUR
    return _overhead(pixels) + source * pixels + _picture_bytes(pixels, True, orientation, own=False)


def of_tiff(file: tiff.Tiff) -> int:
    """Return the bytes for the chosen page of a TIFF."""
    page = file.page
    colours = int(page.photometric) not in {tiff.MIN_IS_WHITE, tiff.MIN_IS_BLACK} or bool(page.extrasamples)
    coloured = colours or bool(tiff.profile(page))
    finished = _picture_bytes(page.imagewidth * page.imagelength, coloured, tiff.orientation(page), own=False)
    return of_page(page) + finished


def of_page(page: Any) -> int:
    """Return the bytes for the values of a TIFF page, without a picture of them."""
    pixels = page.imagewidth * page.imagelength * max(1, int(page.imagedepth or 1))
    samples = max(1, int(page.samplesperpixel))
    width = 8 if page.dtype is None else np.dtype(page.dtype).itemsize
    segment = int(page.tilewidth or 0) * int(page.tilelength or 0)
    if not segment:
        segment = page.imagewidth * min(page.imagelength, int(page.rowsperstrip or page.imagelength))
    packed = int(page.compression) != 1
    # An unpacked strip in addition to the page. JPEG 2000 decoders use 32 bits per value.
    beside = (6 if int(page.compression) in _JPEG_2000 else 2) * segment * samples * width if packed else 0
    return _overhead(pixels) + pixels * samples * width + beside


def of_other(kind: str, width: int, height: int, *, frames: int = 1, mode: str = "RGB") -> int:
    """Return the bytes for a GIF, a BMP, or a WebP of several frames.

    `mode` is Pillow's mode before the pixels are read.
    """
    pixels = width * height
    if kind == "WEBP":
        # Two canvases of the animation and a copy of one, with 4 bytes per pixel.
        return _overhead(pixels) + 3 * _COLOUR * pixels + _picture_bytes(pixels, True, 1, own=False)
    own = mode in {"L", "RGB"}
    source = 0 if own else (_COLOUR if mode == "RGBA" else _GREY) * pixels
    return (
        _overhead(pixels)
        + source
        + _picture_bytes(pixels, mode != "L", 1, own=own)
        + (pixels if frames > 1 else 0)
    )


def of_webp(width: int, height: int, block: bytes) -> int:
    """Return the bytes for a WebP of one picture. `block` holds its EXIF data."""
    pixels = width * height
    orientation = exif.read(block)[0]
    # First the values and the buffers of the lossless decoder, then the values and the picture.
    return _overhead(pixels) + max(
        2 * _COLOUR * pixels, _COLOUR * pixels + _picture_bytes(pixels, True, orientation, own=False)
    )


def _picture_bytes(pixels: int, coloured: bool, orientation: int, *, own: bool) -> int:
    """Return the bytes for the finished picture.

    With `own`, the decoded picture is changed in place and becomes the finished picture.
    """
    picture = (_COLOUR if coloured else _GREY) * pixels
    # Rotation creates a second picture. Scaling down uses less, and the decoded values are released before.
    turned = picture if orientation in exif.TRANSPOSES else 0
    return max(picture + turned, picture + picture // 4 if own else 0)


def _overhead(pixels: int) -> int:
    return min(_BESIDE_LARGEST, (1 << 20) + _OVERHEAD_BYTES * pixels)
