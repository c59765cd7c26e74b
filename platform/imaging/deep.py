"""Strips from values that are no 8-bit picture yet: deep images by a window, and pages of a TIFF."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging import colour, tiff
from imaging.depth import Window, count_window, estimate, sample_values
from imaging.errors import ImagingError
from imaging.strips import Strips

CLIPPED_SHARE = 0.001  # the report names a file if a larger share of its values is outside the window


@dataclass
class DeepValues:
    """Values of more than 8 bits, signed or float, with counts from the conversion by a window."""

    pixels: NDArray[Any]  # (h, w) or (h, w, 3)
    window: Window
    nodata: float | None = None
    alpha: NDArray[Any] | None = None  # (h, w)
    key: NDArray[Any] | None = None  # the colour that is transparent
    white_is_zero: bool = False
    multiplied: bool = False  # colours are multiplied by alpha already
    outside: int = 0
    valid: int = 0
    has_nonzero: bool = False

    def strips(self) -> Strips:
        """Return the strips of the picture that the window creates."""
        mode = "L" if self.pixels.ndim == 2 else "RGB"
        return Strips(self.pixels.shape[1], self.pixels.shape[0], mode, self._rows)

    def _rows(self, top: int, bottom: int) -> tuple[Image.Image, Image.Image | None]:
        part = self.pixels[top:bottom]
        eight, outside, valid = count_window(part, self.window, nodata=self.nodata)
        self.outside += outside
        self.valid += valid
        self.has_nonzero |= bool(eight.any())
        image = Image.fromarray(255 - eight if self.white_is_zero else eight)
        alpha = self._alpha(part, top, bottom)
        return (unpremultiply(image, alpha) if alpha and self.multiplied else image), alpha

    def _alpha(self, part: NDArray[Any], top: int, bottom: int) -> Image.Image | None:
        if self.alpha is not None:
            return alpha_to_8_bits(self.alpha[top:bottom])
        if self.key is None:
            return None
        same = (part == self.key).all(-1) if part.ndim == 3 else part == self.key[0]
        return Image.fromarray(np.where(same, np.uint8(0), np.uint8(255)))

    @property
    def clipped(self) -> float:
        """The share of valid values outside the window, known after all strips were created."""
        return self.outside / self.valid if self.valid else 0.0

    @property
    def is_empty(self) -> bool:
        """Whether no pixel has a value, known after all strips were created."""
        return not self.has_nonzero and not len(sample_values(self.pixels, nodata=self.nodata))


def deep_values(
    pixels: NDArray[Any], window: Window | None, *, nodata: float | None = None, **more: Any
) -> DeepValues:
    """Return the values with their window. None estimates a window from these values alone.

    `more` holds further fields of DeepValues.
    """
    if window is None:
        dtype = pixels.dtype.newbyteorder("=")
        window = estimate([sample_values(pixels, nodata=nodata)], dtype)
    return DeepValues(pixels, window, nodata, **more)


def strips_of_page(
    page: Any, pixels: NDArray[Any], alpha: NDArray[Any] | None, kind: int, *, multiplied: bool
) -> Strips:
    """Return the strips of a TIFF page that is not windowed.

    The page has at most 8 bits, or its colours are not plain channels. Raises ImagingError with the
    code unsupported_format if the values cannot be shown.
    """

    def rows(top: int, bottom: int) -> tuple[Image.Image, Image.Image | None]:
        image = _to_8_bits(page, pixels[top:bottom], kind)
        layer = None if alpha is None else alpha_to_8_bits(alpha[top:bottom])
        return (unpremultiply(image, layer) if layer is not None and multiplied else image), layer

    first = rows(0, 1)[0]
    return Strips(pixels.shape[1], pixels.shape[0], first.mode, rows)


def alpha_to_8_bits(alpha: NDArray[Any]) -> Image.Image:
    """Return a mask from alpha values of any type."""
    if alpha.dtype == np.uint8:
        return Image.fromarray(np.ascontiguousarray(alpha))
    top = float(np.iinfo(alpha.dtype).max) if alpha.dtype.kind in "iu" else 1.0
    scaled = np.nan_to_num(alpha.astype(np.float32)) * (255.0 / top)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def unpremultiply(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return the colours divided by the alpha that they are multiplied by."""
    pixels = np.asarray(image).astype(np.float32)
    share = np.asarray(alpha).astype(np.float32)[..., None] / 255
    share = share if pixels.ndim == 3 else share[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.where(share > 0, pixels / share, 0)
    return Image.fromarray(np.clip(np.rint(plain), 0, 255).astype(np.uint8))


def _to_8_bits(page: Any, pixels: NDArray[Any], kind: int) -> Image.Image:
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    if kind == tiff.PALETTE:
        table = np.asarray(page.colormap)
        table = (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)  # (3, n)
        return Image.fromarray(np.ascontiguousarray(table.T[np.minimum(pixels, table.shape[1] - 1)]))
    if kind in {tiff.CIELAB, tiff.ICCLAB} and pixels.ndim == 3:
        return colour.lab_to_rgb(pixels, icc=kind == tiff.ICCLAB)
    if pixels.dtype.kind not in "biu" or pixels.dtype == np.int8:
        name = f"{page.photometric.name}, {pixels.dtype.name}"
        raise ImagingError("unsupported_format", format=f"TIFF ({name})")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    elif pixels.dtype.itemsize > 1:  # CMYK or YCbCr of 16 bits
        pixels = (pixels >> 8).astype(np.uint8)
    elif bits < 8:
        pixels = np.rint(pixels * (255.0 / (2**bits - 1))).astype(np.uint8)
    if kind == tiff.MIN_IS_WHITE:
        pixels = 255 - pixels
    pixels = np.ascontiguousarray(pixels)
    if kind == tiff.SEPARATED and pixels.ndim == 3 and pixels.shape[2] == 4:
        return Image.fromarray(pixels, "CMYK")
    # tifffile returns RGB for YCbCr with JPEG compression.
    if kind == tiff.YCBCR and int(page.compression) not in {6, 7, 33007} and pixels.ndim == 3:
        return Image.fromarray(pixels, "YCbCr").convert("RGB")
    return Image.fromarray(pixels)
