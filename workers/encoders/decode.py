"""Decoding of an image file to an upright RGB image, by the decoder of the displayed images (`imaging`)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image, ImageOps

import imaging
from imaging.decoding import BACKDROP

from .errors import PictureError

ImageSource = str | Path | bytes | Image.Image
_MESSAGES = {
    "empty_file": "the file is empty",
    "not_an_image": "this is not an image in a format we know",
    "svg": "this is a drawing (SVG), not an image in a format we know",
    "archive_kind": "this is an archive, not an image",
    "unsupported_format": "this is not an image in a format we know",
    "truncated": "the image is damaged: it ends before it is complete",
    "damaged": "the image is damaged and cannot be decoded",
}
_LIMITS = {
    "too_many_pixels": "the image has {pixels} pixels; the limit is {limit} (MEKIKI_MAX_PIXELS)",
    "too_much_memory": (
        "decoding the image needs {needed} bytes; the limit is {limit} (MEKIKI_DECODE_MEMORY_MB)"
    ),
}


@contextmanager
def open_picture(item: ImageSource, *, side: int | None) -> Iterator[Image.Image]:
    """Yield an image as upright RGB, at least about ``2 * side`` large if the file is larger.

    ``item`` is a path, the bytes of a file, or a PIL image. With ``side``, a large JPEG is decoded at a
    fraction of its size (the decoder's draft mode). The memory of a decoded file counts against the decoder's
    budget until the block ends.

    Raises PictureError with the reason.
    """
    with open_sized(item, side=side) as (image, _whole):
        yield image


@contextmanager
def open_sized(item: ImageSource, *, side: int | None) -> Iterator[tuple[Image.Image, bool]]:
    """Yield (image as in `open_picture`, whether it has its native size)."""
    with ExitStack() as held:
        yield (_upright_rgb(item), True) if isinstance(item, Image.Image) else _opened(item, side, held)


def _opened(item: str | Path | bytes, side: int | None, held: ExitStack) -> tuple[Image.Image, bool]:
    try:
        data = item if isinstance(item, bytes) else Path(item).read_bytes()
        decoded = held.enter_context(imaging.decoded(data, side=None if side is None else 2 * side))
        image, whole = decoded.image, decoded.image.size == (decoded.width, decoded.height)
        return image if image.mode == "RGB" else image.convert("RGB"), whole
    except FileNotFoundError as error:
        raise PictureError("the file does not exist", "missing") from error
    except OSError as error:
        raise PictureError(f"the image is damaged: {error}", "damaged", reason=str(error)) from error
    except imaging.ImagingError as error:
        if error.code in _LIMITS:
            raise PictureError(_LIMITS[error.code].format(**error.detail), error.code) from error
        message = _MESSAGES[error.code]
        code = error.code if error.code in {"not_an_image", "damaged"} else "not_an_image"
        code = "damaged" if error.code in {"truncated", "empty_file"} else code
        raise PictureError(message, code, reason=message) from error


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Return a PIL image, such as tests and drawings create, as upright RGB."""
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
            layer = image.convert("RGBA")
            ground = Image.new("RGBA", layer.size, (*BACKDROP, 255))
            return Image.alpha_composite(ground, layer).convert("RGB")
        return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, TypeError) as error:
        raise PictureError(f"the image is damaged: {error}", "damaged", reason=str(error)) from error
