"""Examine one image file and render its thumbnail and display file.

The decoder is the package `imaging`, which encoders use too (docs/decisions/0018).
"""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

import imaging
from mekiki.datasets.problems import OUTCOMES, ProblemError, ReportLine

CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "GIF": ".gif"}
THUMB_SIDE = 256
DISPLAY_SIDE = 1600


@dataclass(frozen=True)
class Picture:
    """The result of examining an image file.

    Width and height are as users see the image (orientation applied).
    """

    format: str
    width: int
    height: int
    sample: str  # type of deep values ("uint16", "float32"); "" for 8 bits
    thumb: bytes
    display: bytes | None  # None: browsers show the original with the decoder's own pixels
    notes: tuple[ReportLine, ...] = ()
    captured: dict[str, str] = field(default_factory=dict)  # metadata that the camera wrote


def read_picture(data: bytes, *, max_pixels: int, window: imaging.Window | None = None) -> Picture:
    """Check and decode an image. Raises ProblemError with the reason if it is refused.

    `window`: the black and white values for deep images. None: they are estimated from this file.
    """
    try:
        with imaging.decoded(data, window=window, max_pixels=max_pixels, side=DISPLAY_SIDE) as decoded:
            return _picture(decoded)
    except imaging.ImagingError as error:
        raise ProblemError(error.code, **error.detail) from None
    except MemoryError:
        raise ProblemError("no_memory") from None


def _picture(decoded: imaging.Decoded) -> Picture:
    scaled = max(decoded.width, decoded.height) > DISPLAY_SIDE
    display = None
    if scaled or not decoded.exact:
        # Lossless, so that users see the same pixels as encoders. A large photograph is scaled down and its
        # interpolated pixels are stored with little loss, because lossless files would be ten times larger.
        lossless = not scaled or bool(decoded.sample)
        display = _webp(decoded.image, DISPLAY_SIDE, quality=90, lossless=lossless)
    notes = tuple(
        ReportLine(finding.code, OUTCOMES[finding.code], finding.detail) for finding in decoded.findings
    )
    thumb = _webp(decoded.image, THUMB_SIDE, quality=75)
    return Picture(decoded.format, decoded.width, decoded.height, decoded.sample, thumb, display, notes)


def _webp(picture: Image.Image, side: int, *, quality: int, lossless: bool = False) -> bytes:
    small = picture
    if max(picture.size) > side:
        # The same as Image.thumbnail, which would need a copy of the whole picture.
        small = picture.resize(_fitting(picture.size, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    # Only the pixels: no EXIF, no location, no profile. Method 0 takes half the time of the default 4 for the
    # same number of bytes. For lossless files, `quality` is the effort.
    small.convert("RGB").save(
        out,
        "WEBP",
        quality=30 if lossless else quality,
        lossless=lossless,
        method=0,
        exif=b"",
        icc_profile=b"",
        xmp=b"",
    )
    return out.getvalue()


def _fitting(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size that Image.thumbnail chooses for a square of this side.

    The aspect ratio is kept as far as whole numbers allow.
    """
    aspect = size[0] / size[1]
    if aspect <= 1:
        return _nearest(side * aspect, lambda n: abs(aspect - n / side)), side
    return side, _nearest(side / aspect, lambda n: abs(aspect - side / n) if n else 0)


def _nearest(number: float, distance: Callable[[int], float]) -> int:
    return max(min(math.floor(number), math.ceil(number), key=distance), 1)
