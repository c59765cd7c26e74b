"""A stored image becomes an upright RGB picture, or is refused with a reason."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workers.encoders.decode import ImageSource, open_picture
from workers.encoders.errors import PictureError

RAMP = np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1))


def picture(item: ImageSource, *, side: int) -> Image.Image:
    with open_picture(item, side=side) as image:
        return image.copy()


def encode_file(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "CMYK"])
def test_modes_become_rgb(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    decoded = picture(encode_file(Image.fromarray(RAMP).convert(mode), kind), side=32)
    assert decoded.mode == "RGB"
    assert decoded.size == (64, 48)
    assert np.asarray(decoded)[:, -8:].mean() > np.asarray(decoded)[:, :8].mean() + 100


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_greys_keep_their_range(bits: int) -> None:
    deep = (RAMP.astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    decoded = np.asarray(picture(encode_file(Image.fromarray(deep)), side=32))
    assert np.abs(decoded[..., 0].astype(int) - RAMP).max() <= 2


def test_transparent_pixels_become_neutral_grey() -> None:
    decoded = picture(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), side=8)
    assert decoded.getpixel((3, 3)) == (128, 128, 128)


def test_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was upright: turn by 90°
    decoded = picture(encode_file(Image.fromarray(RAMP), "JPEG", exif=exif), side=32)
    assert decoded.size == (48, 64)


def test_large_jpegs_are_decoded_at_a_reduced_size() -> None:
    large = Image.fromarray(np.zeros((1600, 2400), np.uint8))
    decoded = picture(encode_file(large, "JPEG"), side=128)
    assert decoded.width < 2400
    assert min(decoded.size) >= 128


def test_damaged_files_are_refused_with_the_reason(tmp_path: Path) -> None:
    whole = encode_file(
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)), "JPEG"
    )
    with pytest.raises(PictureError, match="damaged"):
        picture(whole[: len(whole) // 2], side=32)
    with pytest.raises(PictureError, match="not an image"):
        picture(b"hello", side=32)
    with pytest.raises(PictureError, match="does not exist"):
        picture(tmp_path / "missing.png", side=32)
    with pytest.raises(PictureError, match="damaged"):
        picture(tmp_path, side=32)


def test_images_with_too_many_pixels_are_refused_before_decoding() -> None:
    bomb = encode_file(Image.new("1", (10_001, 10_000)))
    with pytest.raises(PictureError, match="pixels"):
        picture(bomb, side=32)
