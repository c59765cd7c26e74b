"""Files without their text: the picture stays, and no file is refused."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from PIL.PngImagePlugin import PngInfo

import imaging
from mekiki.datasets.bare import strip_embedded_text

WORD = "wombat"


def draw_image(size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)


def exif(orientation: int = 1) -> bytes:
    facts = Image.Exif()
    facts[0x0112] = orientation
    facts[0x010E] = WORD  # ImageDescription
    facts[0x010F] = WORD
    return facts.tobytes()


def save_image(kind: str, **more: Any) -> bytes:
    out = io.BytesIO()
    draw_image().save(out, kind, **more)
    return out.getvalue()


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB").tobytes()


def png_with_words(orientation: int = 1) -> bytes:
    facts = PngInfo()
    facts.add_text("Comment", WORD)
    facts.add_text("Title", WORD * 50, zip=True)
    facts.add_itxt("XML:com.adobe.xmp", f"<x>{WORD}</x>")
    return save_image("PNG", pnginfo=facts, exif=exif(orientation))


def webp_with_words(orientation: int = 1) -> bytes:
    return save_image("WEBP", exif=exif(orientation), xmp=f"<x>{WORD}</x>".encode(), quality=90)


def jpeg_with_words(orientation: int = 1, **more: Any) -> bytes:
    data = save_image(
        "JPEG", exif=exif(orientation), comment=WORD.encode(), xmp=f"<x>{WORD}</x>".encode(), **more
    )
    iptc = b"Photoshop 3.0\0" + WORD.encode()
    marked = data[:2] + b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc + data[2:]
    return marked + WORD.encode()  # behind the end of the picture


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize(
    ("kind", "make"), [("JPEG", jpeg_with_words), ("PNG", png_with_words), ("WEBP", webp_with_words)]
)
def test_embedded_text_is_removed_and_the_pixels_stay(kind: str, make: Any, orientation: int) -> None:
    data = make(orientation)
    stripped, shown_as = strip_embedded_text(data, kind)
    assert shown_as == kind and WORD.encode() not in stripped and len(stripped) < len(data)
    assert pixels(stripped) == pixels(data)
    with Image.open(io.BytesIO(stripped)) as image:
        image.load()
        assert image.getexif().get(0x0112, 1) == orientation and 0x010E not in image.getexif()
        assert WORD not in repr(image.info)


@pytest.mark.parametrize("more", [{"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": 0}])
def test_embedded_text_of_any_kind_of_jpeg_is_removed(more: dict[str, Any]) -> None:
    data = jpeg_with_words(**more)
    stripped, kind = strip_embedded_text(data, "JPEG")
    assert kind == "JPEG" and WORD.encode() not in stripped and pixels(stripped) == pixels(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_colour_profile_stays(kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stripped, _kind = strip_embedded_text(save_image(kind, icc_profile=profile), kind)
    with Image.open(io.BytesIO(stripped)) as image:
        assert image.info["icc_profile"] == profile


def test_transparency_and_palettes_stay() -> None:
    out = io.BytesIO()
    layer = draw_image(mode="RGBA")
    layer.putalpha(90)
    layer.quantize(16).save(out, "PNG")
    stripped, _kind = strip_embedded_text(out.getvalue(), "PNG")
    assert pixels(stripped) == pixels(out.getvalue())


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_other_formats_are_encoded_as_png_without_loss(kind: str) -> None:
    more = {"comment": WORD.encode()} if kind == "GIF" else {}
    data = save_image(kind, **more)
    stripped, shown_as = strip_embedded_text(data, kind)
    assert shown_as == "PNG" and WORD.encode() not in stripped and pixels(stripped) == pixels(data)


@pytest.mark.parametrize("make", [jpeg_with_words, png_with_words, webp_with_words])
def test_truncated_file_never_reveals_the_embedded_text(make: Any) -> None:
    """Wherever the file is cut, the result is the picture or an error, never a word or an endless loop."""
    data = make()
    kind = {b"\xff\xd8": "JPEG", b"\x89P": "PNG", b"RI": "WEBP"}[data[:2]]
    for end in range(20, len(data), max(1, len(data) // 60)):
        try:
            stripped, _kind = strip_embedded_text(data[:end], kind)
        except imaging.ImagingError:
            continue
        assert WORD.encode() not in stripped


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_orientation_in_xmp_is_not_applied(kind: str) -> None:
    """Pillow applies it, but browsers and the decoder do not. The reviewer would see a turned picture."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="6"/></x:xmpmeta>'
    data = save_image(kind, xmp=xmp)
    bare, _kind = strip_embedded_text(data, kind)
    assert imaging.decode(bare).image.tobytes() == imaging.decode(data).image.tobytes()
    assert imaging.decode(bare).image.size == draw_image().size
