"""From whatever a factory stores as an image to an upright RGB picture."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .errors import PictureError

MAX_PIXELS = 150_000_000  # a 12 k × 12 k line-scan image passes; a decompression bomb does not
BACKDROP = (128, 128, 128)  # behind transparent pixels: the neutral grey of our screens
Item = str | Path | bytes | Image.Image


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit and float greys → 8 bits. Cameras store 10, 12 or 14 bits in 16: the smallest depth that holds the
    brightest pixel is taken as the depth."""
    values = np.nan_to_num(np.asarray(image, np.float32))
    if image.mode == "F" and float(values.max(initial=0)) <= 1.0:
        return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
    top = float(values.max(initial=0))
    depth = next((bits for bits in (8, 10, 12, 14, 16) if top < 2**bits), 32)
    return Image.fromarray(np.clip(values * (255 / (2**depth - 1)) + 0.5, 0, 255).astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode == "I" or image.mode == "F" or image.mode.startswith("I;16"):
        return _from_deep(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        clear = image.convert("RGBA")
        behind = Image.new("RGBA", clear.size, (*BACKDROP, 255))
        return Image.alpha_composite(behind, clear).convert("RGB")
    return image.convert("RGB")


def picture(item: Item, *, side: int) -> Image.Image:
    """One image as upright RGB, at least about twice ``side`` large where the file is larger.

    ``item`` is a path, the bytes of a file, or a PIL image. A large JPEG is decoded at a fraction of its size
    (the decoder's draft mode). Orientation by EXIF is applied; transparency is laid on neutral grey.
    Raises: PictureError with the reason.
    """
    try:
        if isinstance(item, Image.Image):
            return _to_rgb(ImageOps.exif_transpose(item))
        with Image.open(BytesIO(item) if isinstance(item, bytes) else item) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PictureError(
                    f"{image.width} × {image.height} pixels is more than this reads", "too_many_pixels"
                )
            if image.format == "JPEG":
                image.draft(image.mode, (2 * side, 2 * side))
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError("the file does not exist", "missing") from error
    except Image.DecompressionBombError as error:
        raise PictureError("the image has more pixels than this reads", "too_many_pixels") from error
    except Image.UnidentifiedImageError as error:
        raise PictureError("this is not an image in a format we know", "not_an_image") from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
    ) as error:
        # PIL's decoders raise any of these on damaged data.
        raise PictureError(f"the image is damaged: {error}", "damaged", reason=str(error)) from error
