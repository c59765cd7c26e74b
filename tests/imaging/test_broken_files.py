"""Cut and changed files: every function that reads uploaded bytes raises ImagingError and nothing else."""

import contextlib
import io

import imagecodecs
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import imaging
from imaging import ImagingError
from tests.imaging.files import COLOUR, encode, png16, tiff

SMALL = COLOUR[:6, :8]
DEEP = np.arange(48, dtype=np.uint16).reshape(6, 8) * 900
PALETTE = Image.fromarray(SMALL).convert("P", colors=4)
MAX_PIXELS = 10_000

FILES = {
    "png": encode(SMALL, "PNG"),
    "png of 16 bits": png16(DEEP),
    "jpeg": encode(SMALL, "JPEG"),
    "jpeg of 12 bits": bytes(imagecodecs.jpeg_encode(DEEP >> 4, bitspersample=12)),
    "webp": encode(SMALL, "WEBP"),
    "bmp": encode(SMALL, "BMP"),
    "gif": encode(PALETTE, "GIF"),
    "tiff": tiff(SMALL, photometric="rgb"),
    "tiff of 16 bits": tiff(DEEP),
    "tiff in tiles": tiff(np.zeros((16, 16), np.uint16), tile=(16, 16)),
    "tiff of two pages": tiff(np.stack([DEEP, DEEP]), compression="zlib"),
    "tiff of ImageJ": tiff(np.stack([DEEP, DEEP]), imagej=True, photometric=None, metadata={}),
    "bigtiff": tiff(DEEP, bigtiff=True),
}
HEADER = 700  # bytes; longer than every header above


def call_every_reader(data: bytes) -> None:
    with contextlib.suppress(ImagingError):
        imaging.inspect(data, max_pixels=MAX_PIXELS)
    assert isinstance(imaging.deep_sample(data), str)
    with contextlib.suppress(ImagingError):
        imaging.deep_values(data, max_pixels=MAX_PIXELS)
    with contextlib.suppress(ImagingError):
        for _number, page in imaging.split_pages(data, max_pixels=MAX_PIXELS):
            assert isinstance(page, bytes | ImagingError)
    with contextlib.suppress(ImagingError):
        imaging.decode(data, max_pixels=MAX_PIXELS)


@given(name=st.sampled_from(sorted(FILES)), length=st.integers(0, HEADER))
@example(name="png", length=20)
@example(name="png of 16 bits", length=25)
def test_file_that_ends_early_raises_only_imaging_errors(name: str, length: int) -> None:
    call_every_reader(FILES[name][:length])


@given(name=st.sampled_from(sorted(FILES)), at=st.integers(0, HEADER), value=st.integers(0, 255))
@example(name="tiff", at=12, value=1)  # the width is of another type
@example(name="tiff of 16 bits", at=48, value=1)  # the compression is of another type
@example(name="tiff of 16 bits", at=50, value=0)  # no compression
@example(name="tiff in tiles", at=132, value=5)  # the width of a tile is of another type
@example(name="tiff in tiles", at=134, value=0)
@example(name="tiff of two pages", at=60, value=1)
@example(name="tiff of two pages", at=62, value=0)
@example(name="tiff of two pages", at=66, value=129)  # an unknown photometric interpretation
def test_file_with_a_changed_byte_raises_only_imaging_errors(name: str, at: int, value: int) -> None:
    data = bytearray(FILES[name])
    data[at % len(data)] = value
    call_every_reader(bytes(data))


@pytest.mark.parametrize("name", sorted(FILES))
def test_unchanged_files_can_be_read(name: str) -> None:
    header = imaging.inspect(FILES[name], max_pixels=MAX_PIXELS)
    assert header.sample == imaging.deep_sample(FILES[name])
    assert imaging.decode(FILES[name]).image.size == (header.width, header.height)


def test_png_with_an_incomplete_header_is_truncated() -> None:
    with pytest.raises(ImagingError) as refused:
        imaging.inspect(FILES["png of 16 bits"][:25])
    assert refused.value.code == "truncated"


def test_unreadable_page_does_not_affect_the_other_pages() -> None:
    """ "One page of three has a compression without a value. The other pages are still returned."""
    out = io.BytesIO()
    pages = [Image.fromarray(np.full((6, 8), value, np.uint8)) for value in (1, 2, 3)]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    data = bytearray(out.getvalue())
    second = int.from_bytes(data[4:8], "little")
    second += 2 + 12 * int.from_bytes(data[second : second + 2], "little")
    second = int.from_bytes(data[second : second + 4], "little")
    for entry in range(second + 2, second + 2 + 12 * int.from_bytes(data[second : second + 2], "little"), 12):
        if data[entry : entry + 2] == (259).to_bytes(2, "little"):
            data[entry + 4] = 0
    parts = dict(imaging.split_pages(bytes(data)))
    assert [type(part) for part in parts.values()] == [bytes, ImagingError, bytes]
