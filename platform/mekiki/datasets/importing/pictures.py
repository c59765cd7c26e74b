"""Is it an image, and what do browsers and encoders see of it?

The type is decided by the content. The number of pixels is bounded from the header, before anything is
decoded; then the whole image is decoded, so that a truncated one is found now and not in a later job.
"""

import io
import re
import threading
import warnings
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from mekiki.datasets.problems import ProblemError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
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
# Behind transparent pixels; workers.encoders uses the same (a test compares them).
BACKDROP = (128, 128, 128)
DISPLAY_SIDE = 1600
_ORIENTATION = 0x0112  # EXIF tag
# What Pillow's readers say of a file that ends too early; the last two are GIF's.
_ENDS_EARLY = "truncat|unexpected end|broken data|requires a buffer|index out of range"
# One really large image at a time: its pixels, not the number of threads, bound the memory.
_LARGE_PIXELS = 20_000_000
_large = threading.Lock()
_KNOWN_OTHERS = (
    (b"%PDF-", "PDF"),
    (b"8BPS", "PSD"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"v/1\x01", "OpenEXR"),
    (b"II\x2a\x00\x10\x00\x00\x00CR", "RAW"),
)
_ARCHIVES = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "RAR"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


@dataclass(frozen=True)
class Picture:
    """What was found out about an image file. width and height are as people see it (orientation applied)."""

    format: str
    width: int
    height: int
    thumb: bytes
    display: bytes | None  # None: the original itself does for browsers


def examine(data: bytes, *, max_pixels: int) -> Picture:
    """Check and decode an image. ProblemError names why it is not taken."""
    if not data:
        raise ProblemError("empty_file")
    with warnings.catch_warnings():
        # Checked below with our own number; Pillow's guard stays on behind it.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = _open(data, max_pixels)
        with image:
            if image.width * image.height > _LARGE_PIXELS:
                with _large:
                    return _decode(image)
            return _decode(image)


def load(file: BinaryIO) -> Image.Image:
    """The picture as people see it: oriented, 8 bits a channel, mode "L" or "RGB".

    What encoders must use, so that the machine judges what the person is shown. OSError for a broken file.
    """
    with Image.open(file, formats=FORMATS) as image:
        return to_eight_bits(_oriented(image))


def _open(data: bytes, max_pixels: int) -> ImageFile.ImageFile:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        count = re.search(r"\((\d+) pixels\)", str(error))
        raise ProblemError(
            "too_many_pixels", pixels=int(count[1]) if count else "?", limit=max_pixels
        ) from None
    except UnidentifiedImageError:
        raise _not_an_image(data) from None
    except Exception:
        raise ProblemError("damaged") from None
    if image.width * image.height > max_pixels:
        raise ProblemError("too_many_pixels", pixels=image.width * image.height, limit=max_pixels)
    return image


def _not_an_image(data: bytes) -> ProblemError:
    head = data[:2048]
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<svg") or (
        text.startswith((b"<?xml", b"<!doctype svg", b"<!--")) and b"<svg" in text
    ):
        return ProblemError("svg")
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        kinds = {b"avif": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC"}
        if brand in kinds:
            return ProblemError("unsupported_format", format=kinds[brand])
    for magic, name in _KNOWN_OTHERS:
        if head.startswith(magic):
            return ProblemError("unsupported_format", format=name)
    for magic, name in _ARCHIVES:
        if head.startswith(magic):
            return ProblemError("archive_kind", format=name)
    # The right beginning, and nothing Pillow could read behind it.
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\x00", b"MM\x00*")):
        return ProblemError("truncated" if len(data) < 1024 else "damaged")
    return ProblemError("not_an_image")


def _decode(image: ImageFile.ImageFile) -> Picture:
    # MPO is a JPEG with further pictures behind the first (stereo cameras, phones).
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    width, height = image.size
    try:
        # Counting frames reads to the end of the file, so a damaged one can fail here already.
        frames = getattr(image, "n_frames", 1) if kind in {"GIF", "WEBP"} else 1
        # A large JPEG is decoded at half, a quarter or an eighth: still to its end, with less memory.
        image.draft("RGB", (DISPLAY_SIDE, DISPLAY_SIDE))
        image.load()
        turned = kind != "TIFF" and _orientation(image) in {5, 6, 7, 8}
        sixteen = image.mode in {"I", "F"} or image.mode.startswith("I;")
        picture = to_eight_bits(_oriented(image))
    except Exception as error:
        short = isinstance(error, EOFError) or re.search(_ENDS_EARLY, str(error))
        raise ProblemError("truncated" if short else "damaged") from None
    if kind == "TIFF":  # Pillow turns these itself while loading
        width, height = picture.size
    elif turned:
        width, height = height, width
    needs_display = (
        kind in {"TIFF", "BMP"}
        or frames > 1
        or sixteen
        or image.mode == "CMYK"
        or max(width, height) > DISPLAY_SIDE
    )
    display = _webp(picture, DISPLAY_SIDE, quality=85) if needs_display else None
    return Picture(kind, width, height, _webp(picture, THUMB_SIDE, quality=75), display)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken EXIF is no reason to refuse an image
        return 1


def _oriented(image: Image.Image) -> Image.Image:
    if _orientation(image) in range(2, 9):
        return ImageOps.exif_transpose(image)
    image.load()
    return image


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Any mode as "L" or "RGB" with 8 bits a channel; transparency on neutral grey, as encoders lay it.

    Deeper grey is scaled, never clipped: by the smallest usual camera depth (8, 10, 12, 14, 16 bits) that holds
    the brightest pixel, so that pictures of one camera stay comparable; other ranges from darkest to brightest.
    """
    mode = image.mode
    if mode in {"L", "RGB"} and "transparency" not in image.info:
        return image
    if mode == "1":
        return image.convert("L")
    if mode in {"I", "F"} or mode.startswith("I;"):
        return _scaled(image)
    if mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*BACKDROP, 255))
        ground.alpha_composite(layer)
        return ground.convert("RGB")
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    import numpy as np

    values = np.asarray(image).astype(np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if image.mode != "F" and low >= 0 and high < 65536:
        low, high = 0.0, next(top for top in (255, 1023, 4095, 16383, 65535) if high <= top)
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    span = (high - low) or 1.0
    scaled = np.nan_to_num((values - low) * (255.0 / span), posinf=255.0, neginf=0.0)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _webp(picture: Image.Image, side: int, *, quality: int) -> bytes:
    small = picture
    if max(picture.size) > side:
        small = picture.copy()
        small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    # No EXIF, no location, no profile: only the pixels. Method 0: half the time of the usual 4 for as many bytes.
    small.convert("RGB").save(out, "WEBP", quality=quality, method=0, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()
