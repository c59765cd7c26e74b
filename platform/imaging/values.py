"""Reads the values of a deep image as stored, before a window is applied."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import jpeg, needs, png, tiff
from imaging.depth import sample_values
from imaging.errors import ImagingError, wrap_library_errors
from imaging.limits import check_pixels
from imaging.memory import budget
from imaging.sniff import format_of, refusal


def deep_values(data: bytes, *, max_pixels: int | None = None) -> NDArray[np.float64]:
    """Return some values of a deep image for `estimate`, or an empty array for an image of 8 bits.

    Raises ImagingError.
    """
    kind = format_of(data)
    if kind is None:
        raise refusal(data)
    with wrap_library_errors():
        return _values(data, kind, max_pixels)


def _values(data: bytes, kind: str, max_pixels: int | None) -> NDArray[np.float64]:
    if kind == "TIFF":
        with tiff.opened(data, max_pixels) as file:
            if tiff.sample_type(file.page) is None:
                return np.empty(0)
            with budget.reserved(needs.of_page(file.page)):
                pixels, _alpha, _rest = tiff.split_alpha(file.page, tiff.array(file.page))
                return sample_values(pixels, nodata=tiff.nodata(file.page))
    if kind == "PNG":
        parts = png.parse(data)
        check_pixels(parts.width, parts.height, max_pixels)
        if parts.bits == 16:
            with budget.reserved(needs.of_png(parts, 1)):
                return sample_values(png.deep_array(parts)[0])
    if kind == "JPEG":
        segments = jpeg.parse(data)
        if segments.precision > 8:
            check_pixels(segments.width, segments.height, max_pixels)
            with budget.reserved(needs.of_jpeg(segments, (segments.width, segments.height), 1)):
                return sample_values(jpeg_array(data))
    return np.empty(0)


def jpeg_array(data: bytes) -> NDArray[Any]:
    """Return the values (h, w) or (h, w, 3) of a JPEG of more than 8 bits.

    Raises ImagingError with the code damaged.
    """
    import imagecodecs

    try:
        return np.asarray(imagecodecs.jpeg_decode(data))
    except Exception:
        raise ImagingError("damaged") from None
