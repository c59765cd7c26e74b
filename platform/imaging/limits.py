"""The pixel limit of all decoders of this process. MEKIKI_MAX_PIXELS sets it."""

from PIL import Image

from imaging.errors import ImagingError

MAX_PIXELS = 100_000_000  # the default limit

# Pillow's limit would be a second number with another message. `check_pixels` checks every file instead.
Image.MAX_IMAGE_PIXELS = None

_limit = MAX_PIXELS


def pixel_limit() -> int:
    """Return the largest number of pixels that this process reads."""
    return _limit


def set_pixel_limit(pixels: int) -> None:
    """Set the limit of this process. The app mekiki.datasets calls it at the start."""
    global _limit
    _limit = pixels


def check_pixels(width: int, height: int, limit: int | None) -> None:
    """Raise ImagingError("too_many_pixels") if width × height is above the limit.

    None is the limit of the process.
    """
    limit = pixel_limit() if limit is None else limit
    if width * height > limit:
        raise ImagingError("too_many_pixels", pixels=width * height, limit=limit)
