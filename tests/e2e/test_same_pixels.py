"""Invariant 9 in a real Chromium: a page shows the same pixels that an encoder gets."""

import base64
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from playwright.sync_api import Page

from mekiki.datasets import services, storage
from mekiki.datasets.models import Image, ImportBatch
from tests.e2e.test_pages import log_in
from tests.factories import DatasetFactory, UserFactory
from tests.imaging.files import (
    COLOUR,
    GREY,
    add_chunks,
    apng,
    encode,
    interlaced,
    linear_profile,
    png16,
    srgb_profile,
    tiff,
)
from workers.encoders.decode import open_picture

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

RNG = np.random.default_rng(5)
NOISE = RNG.integers(0, 256, (48, 64, 3)).astype(np.uint8)
BEST = {"quality": 100, "subsampling": 0}
TWELVE = GREY.astype(np.uint16) * 16


def exif(**tags: Any) -> Pillow.Exif:
    tags_of_exif = Pillow.Exif()
    for tag, value in tags.items():
        tags_of_exif[int(tag[1:])] = value
    return tags_of_exif


def adobe_rgb() -> Pillow.Exif:
    tags_of_exif = Pillow.Exif()
    tags_of_exif.get_ifd(0x8769)[0xA001] = 2
    return tags_of_exif


def files() -> dict[str, bytes]:
    clear = np.dstack([COLOUR, GREY])
    frames = [Pillow.fromarray(COLOUR), Pillow.fromarray(255 - COLOUR)]
    photo = np.kron(RNG.integers(0, 256, (20, 30, 3)), np.ones((90, 90, 1))).astype(np.uint8)
    return {
        "plain.png": encode(COLOUR, "PNG"),
        "noise.png": encode(NOISE, "PNG"),
        "plain.jpg": encode(COLOUR, "JPEG", quality=90),
        "noise.jpg": encode(NOISE, "JPEG", quality=75),
        "grey.jpg": encode(GREY, "JPEG", **BEST),
        "progressive.jpg": encode(NOISE, "JPEG", quality=80, progressive=True),
        "large.jpg": encode(photo, "JPEG", quality=90),
        "turned.jpg": encode(COLOUR, "JPEG", exif=exif(t274=6), **BEST),
        "odd.jpg": encode(COLOUR, "JPEG", exif=exif(t282=300.0, t283=100.0, t296=2), **BEST),
        "adobe.jpg": encode(COLOUR, "JPEG", exif=adobe_rgb(), **BEST),
        "linear.jpg": encode(COLOUR, "JPEG", icc_profile=linear_profile(), **BEST),
        "linear_grey.jpg": encode(GREY, "JPEG", icc_profile=linear_profile("GRAY"), **BEST),
        "srgb.jpg": encode(COLOUR, "JPEG", icc_profile=srgb_profile(), **BEST),
        "broken_profile.jpg": encode(COLOUR, "JPEG", icc_profile=b"rubbish" * 50, **BEST),
        "cmyk.jpg": encode(Pillow.fromarray(COLOUR).convert("CMYK"), "JPEG", **BEST),
        "gamma.png": add_chunks(encode(COLOUR, "PNG"), (b"gAMA", (100_000).to_bytes(4, "big"))),
        "gamma_usual.png": add_chunks(encode(COLOUR, "PNG"), (b"gAMA", (45_455).to_bytes(4, "big"))),
        "p3.png": add_chunks(encode(COLOUR, "PNG"), (b"cICP", b"\x0c\x0d\0\x01")),
        "srgb_chunk.png": add_chunks(encode(COLOUR, "PNG"), (b"sRGB", b"\0")),
        "linear.png": encode(COLOUR, "PNG", icc_profile=linear_profile()),
        "turned.png": encode(COLOUR, "PNG", exif=exif(t274=8)),
        "odd.png": encode(COLOUR, "PNG", dpi=(300, 100)),
        "clear.png": encode(clear, "PNG"),
        "clear_grey.png": encode(clear[..., 2:], "PNG"),
        "clear.webp": encode(clear, "WEBP", lossless=True),
        "palette.png": encode(Pillow.fromarray(COLOUR).quantize(64), "PNG"),
        "palette_clear.png": encode(Pillow.fromarray(COLOUR).quantize(64), "PNG", transparency=3),
        "bits.png": encode(Pillow.fromarray(GREY > 127), "PNG"),
        "interlaced.png": interlaced(NOISE),
        "animated.png": apng(),
        "animated_shown.png": apng(False),
        "animated.gif": encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "animated.webp": encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "plain.gif": encode(Pillow.fromarray(COLOUR).quantize(64), "GIF"),
        "lossy.webp": encode(NOISE, "WEBP", quality=80),
        "plain.bmp": encode(COLOUR, "BMP"),
        "deep.png": png16(TWELVE),
        "deep_colour.png": png16(COLOUR.astype(np.uint16) * 16),
        "deep.tif": tiff(TWELVE + 1),
        "float.tif": tiff(GREY.astype(np.float32) / 100 + 3),
        "signed.tif": tiff(GREY.astype(np.int32) * 1000 - 50_000),
        "white_is_zero.tif": tiff(255 - GREY, photometric="miniswhite"),
        "cmyk.tif": encode(Pillow.fromarray(COLOUR).convert("CMYK"), "TIFF"),
    }


READ = """
async (img) => {
  await img.decode();
  const canvas = document.createElement("canvas");
  canvas.width = img.naturalWidth;
  canvas.height = img.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(img, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let text = "";
  for (let at = 0; at < data.length; at += 32768) {
    text += String.fromCharCode(...data.subarray(at, at + 32768));
  }
  return [canvas.width, canvas.height, btoa(text)];
}
"""


def test_page_and_encoder_use_the_same_pixels(
    page: Page, live_server: Any, settings: Any, tmp_path: Any
) -> None:
    admin = UserFactory(username="aiko")
    dataset = DatasetFactory(slug="line-3", name="Line 3", admin=admin)
    for name, data in files().items():
        (tmp_path / name).write_bytes(data)
    batch = ImportBatch.objects.create(dataset=dataset, source="folder", location=str(tmp_path))
    batch = services.run_import(batch=batch, progress=lambda done, total: None)
    assert batch.rejected == 0 and batch.added == len(files())
    log_in(page, live_server, admin, "en")
    differences = {}
    for image in Image.objects.filter(dataset=dataset):
        page.goto(f"{live_server.url}/d/line-3/images/{image.sha256}/")
        width, height, pixels = page.locator("figure.picture img").evaluate(READ)
        displayed = np.frombuffer(base64.b64decode(pixels), np.uint8).reshape(height, width, 4)
        path = storage.picture_path(image)
        assert path is not None
        with open_picture(path, side=4000) as picture:
            embedded = np.asarray(picture).astype(int)
        assert (displayed[..., 3] == 255).all(), image.name  # no background of the page is visible through it
        if embedded.shape != (height, width, 3):
            differences[image.name] = f"{embedded.shape} and {(height, width)}"
        elif (largest := int(np.abs(displayed[..., :3] - embedded).max())) > 2:
            differences[image.name] = f"up to {largest} grey levels"
    assert not differences
