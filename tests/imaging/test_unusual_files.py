"""Files that browsers and the decoder read differently, and pictures without pixel values."""

import struct

import numpy as np
import pytest
from PIL import Image

from imaging import ImagingError, decode
from tests.imaging.files import COLOUR, add_chunks, add_segment, encode, tiff


@pytest.mark.parametrize("entries", [[(4, 6)], [(4, 6), (3, 3)], [(3, 3), (3, 6)]])
def test_ambiguous_orientation_gets_a_display_file(
    entries: list[tuple[int, int]],
) -> None:
    exif = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    exif += b"".join(struct.pack("<HHII", 0x0112, kind, 1, value) for kind, value in entries) + bytes(4)
    data = add_segment(encode(COLOUR, "JPEG"), 0xE1, b"Exif\0\0" + exif)
    assert not decode(data).exact


def test_usual_orientation_needs_no_display_file() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encode(COLOUR, "JPEG", exif=exif)).exact


def test_unknown_critical_chunk_gets_a_display_file() -> None:
    assert not decode(add_chunks(encode(COLOUR, "PNG"), (b"ABCD", b"x"))).exact
    assert decode(add_chunks(encode(COLOUR, "PNG"), (b"abCD", b"x"))).exact


@pytest.mark.parametrize("value", [np.nan, -9999.0])
def test_picture_without_any_value_is_reported(value: float) -> None:
    text = "-9999"
    values = np.full((40, 40), value, np.float32)
    empty = decode(tiff(values, extratags=[(42113, 2, len(text) + 1, text, True)]))
    assert [finding.code for finding in empty.findings] == ["no_values"]
    values[0, 0] = 1
    assert not decode(tiff(values, extratags=[(42113, 2, len(text) + 1, text, True)])).findings


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 4}, {"rowsperstrip": 4, "compression": "zlib"}])
def test_tiff_with_strips_beyond_its_end_is_truncated(options: dict[str, object]) -> None:
    data = tiff(np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8), **options)
    with pytest.raises(ImagingError) as refused:
        decode(data[: len(data) * 2 // 3])
    assert refused.value.code == "truncated"
