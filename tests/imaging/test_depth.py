"""The window of a group of deep images.

Outliers do not move it. Values outside the window are cut off and counted.
"""

import numpy as np
import pytest

from imaging import Window, apply_window, decode, deep_values, estimate
from tests.imaging.files import tiff

UINT16, FLOAT = np.dtype("uint16"), np.dtype("float32")


def scene(top: int, bright: int = 0, hot: int = 0) -> np.ndarray:
    """Return grey values up to `top`, a spot of 100 bright pixels, and one hot pixel."""
    values = np.linspace(0, top, 16_000).astype(np.uint16).reshape(100, 160)
    if bright:
        values[20:30, 20:30] = bright
    if hot:
        values[50, 50] = hot
    return values


def window_of(*arrays: np.ndarray) -> Window:
    return estimate([deep_values(tiff(a)) for a in arrays], arrays[0].dtype)


def test_window_covers_the_bit_depth_of_the_group() -> None:
    assert window_of(scene(890, 1000)) == Window(0, 1023)
    assert window_of(scene(890, 1000), scene(890, 1100)) == Window(0, 4095)
    assert window_of(scene(4000)) == Window(0, 4095)
    assert window_of(scene(60_000)) == Window(0, 65_535)
    assert window_of(scene(200)) == Window(0, 255)


@pytest.mark.parametrize("hot", [1, 3, 10])
def test_hot_pixels_do_not_change_the_window(hot: int) -> None:
    values = scene(890)
    values.reshape(-1)[: hot * 7 : 7] = 65_535
    assert window_of(values) == Window(0, 1023)
    assert window_of(values, scene(3000)) == Window(0, 4095)
    small = np.full((8, 8), 700, np.uint16)
    small[0, 0], small[1] = 65_535, 100
    assert window_of(small) == Window(0, 1023)


def test_window_is_narrow_if_values_use_a_small_part_of_the_depth() -> None:
    window = window_of(np.linspace(20_000, 28_000, 10_000).astype(np.uint16).reshape(100, 100))
    assert 17_500 <= window.black <= 18_500 and 29_500 <= window.white <= 30_500
    assert window_of(np.full((10, 10), 3000, np.uint16)) == Window(0, 4095)


def test_missing_values_do_not_change_the_window() -> None:
    rng = np.random.default_rng(0)
    good = rng.uniform(8, 17, (100, 160)).astype(np.float32)
    wanted = window_of(good)
    assert 6 < wanted.black < 8 and 17 < wanted.white < 19
    for missing in (np.nan, np.inf, -np.inf, -3.4028235e38, -9999.0, -32768.0):
        with_missing = good.copy()
        with_missing[10:20, 10:20] = missing
        window = window_of(with_missing)
        assert abs(window.black - wanted.black) < 0.1 and abs(window.white - wanted.white) < 0.1, missing


def test_window_is_computed_for_any_values() -> None:
    assert estimate([], FLOAT) == Window(0, 1)
    assert estimate([np.empty(0)], UINT16) == Window(0, 255)
    assert window_of(np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)) == Window(0, 1)
    for array in (np.zeros((4, 4), np.float32), np.full((4, 4), -7, np.int32), np.array([[5]], np.int16)):
        window = window_of(array)
        assert window.black < window.white


def test_clipped_values_are_counted() -> None:
    values = np.arange(100, dtype=np.uint16).reshape(10, 10)
    pixels, outside = apply_window(values, Window(10, 89))
    assert outside == pytest.approx(0.2) and pixels[0, 0] == 0 and pixels[-1, -1] == 255
    findings = decode(tiff(values), window=Window(10, 89)).findings
    assert [finding.code for finding in findings] == ["values_clipped"]
    assert apply_window(values, Window(99, 0))[0][0, 0] == 255  # black above white: a negative
    huge = np.array([[2**32 - 1, 2**32 - 200]], np.uint32)
    assert apply_window(huge, Window(2**32 - 200, 2**32 - 1))[0].tolist() == [[255, 0]]


@pytest.mark.parametrize("top", [1000, 4000, 16_000])
def test_stuck_row_and_white_frame_do_not_change_the_window(top: int) -> None:
    stuck = scene(top)
    stuck[7] = 65_535
    assert window_of(stuck) == window_of(scene(top))
    assert window_of(np.full((100, 160), 65_535, np.uint16), scene(top)) == window_of(scene(top))
    assert window_of(np.zeros((100, 160), np.float32), np.full((9, 9), 2, np.float32)).white > 2


def test_bright_images_use_the_full_depth() -> None:
    bright = scene(60_000)
    bright[7] = 65_535
    assert window_of(bright) == Window(0, 65_535)
    assert window_of(np.full((100, 160), 65_535, np.uint16)) == Window(0, 65_535)
