"""One pixel limit for every decoder of this process; MEKIKI_MAX_PIXELS sets it."""

from PIL import Image

from imaging.errors import ImagingError

MAX_PIXELS = 100_000_000  # the limit where nothing set another one

# Pillow's own limit would be a second number with another message. Every file is checked by `check_pixels` instead.
Image.MAX_IMAGE_PIXELS = None

_limit = MAX_PIXELS


def pixel_limit() -> int:
    """Return the largest number of pixels that this process reads."""
    return _limit


def set_pixel_limit(pixels: int) -> None:
    """Set the limit of this process. Django's settings call it once at the start."""
    global _limit
    _limit = pixels


def check_pixels(width: int, height: int, limit: int | None) -> None:
    """Raise ImagingError("too_many_pixels") where width × height is over the limit (None: the process's own)."""
    limit = pixel_limit() if limit is None else limit
    if width * height > limit:
        raise ImagingError("too_many_pixels", pixels=width * height, limit=limit)
