"""Conversion of deep pixel values (more than 8 bits, signed, float) to 8 bits by a window.

A window has a black value and a white value. It belongs to a group of images (a dataset, or one camera of it)
and not to a file, so that pictures of one camera stay comparable. docs/reference/images.md describes the
rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHS = (8, 10, 12, 14, 16)
# The share of outliers of an image at each end of its range: hot pixels, dust, dead pixels.
OUTLIERS = 0.001
_SENTINEL_SHARE = 0.0005
_NODATA_GAP = 5.0  # distance of a nodata value from the other values, as a multiple of their range
_SATURATION_GAP = 1.0  # the same for the largest value of an integer type
_NO_VALUE = 1e37  # many programs use a float "nodata" near ±3.4e38
_SAMPLE = 1 << 18  # values of one image for the estimate
_STRIP = 1 << 22  # values converted at a time


@dataclass(frozen=True)
class Window:
    """Pixel values shown as black and as white. The scale between them is linear.

    `black` and `white` must differ.
    """

    black: float
    white: float


def apply_window(
    values: NDArray[np.generic], window: Window, *, nodata: float | None = None
) -> tuple[NDArray[np.uint8], float]:
    """Return (8-bit values of the same shape, share of valid values outside the window).

    NaN and nodata become black. Infinite values become black or white by their sign.
    """
    out, outside, valid = count_window(values, window, nodata=nodata)
    return out, outside / valid if valid else 0.0


def count_window(
    values: NDArray[np.generic], window: Window, *, nodata: float | None = None
) -> tuple[NDArray[np.uint8], int, int]:
    """Return (8-bit values as in `apply_window`, valid values outside the window, valid values)."""
    flat = np.ascontiguousarray(values).reshape(-1)
    out = np.empty(flat.shape, np.uint8)
    low, high = sorted((window.black, window.white))
    scale = 255.0 / ((window.white - window.black) or 1.0)
    outside = valid = 0
    # float32 cannot represent all integers of 32 bits or more.
    kind = np.float32 if flat.dtype.itemsize <= 2 or flat.dtype == np.float32 else np.float64
    for start in range(0, len(flat), _STRIP):
        part: NDArray[Any] = flat[start : start + _STRIP].astype(kind)
        good = _valid(part, nodata)
        valid += int(good.sum())
        outside += int((good & ((part < low) | (part > high))).sum())
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = np.clip(np.rint((part.clip(low, high) - window.black) * scale), 0, 255)
        scaled[~good & ~np.isinf(part)] = 0
        out[start : start + _STRIP] = np.nan_to_num(scaled, nan=0.0).astype(np.uint8)
    return out.reshape(values.shape), outside, valid


def _valid(values: NDArray[np.floating], nodata: float | None) -> NDArray[np.bool_]:
    good = np.isfinite(values)
    if values.dtype.kind == "f":
        good &= np.abs(np.where(good, values, 0)) < _NO_VALUE
    if nodata is not None and np.isfinite(nodata):
        good &= values != values.dtype.type(nodata)
    return good


def sample_values(values: NDArray[np.generic], *, nodata: float | None = None) -> NDArray[np.float64]:
    """Return up to about 260,000 valid values of an image, evenly distributed over it."""
    step = max(1, values.size // _SAMPLE)
    # A step that is odd and no multiple of 3 does not sample one column of a grid or one colour channel only.
    step += step % 2 == 0
    step += 2 if step % 3 == 0 else 0
    # A flat array would copy the whole picture if the values are one channel of several.
    part = values[np.unravel_index(np.arange(0, values.size, step), values.shape)].astype(np.float64)
    return part[_valid(part, nodata)]


def estimate(images: Iterable[NDArray[np.float64]], dtype: np.dtype) -> Window:
    """Return the window of a group from the values of some of its images (`sample_values`).

    Unsigned integers up to 16 bits get the smallest usual camera depth that holds the values without
    outliers. If the values fill less than a quarter of the depth, the window is their range plus a quarter of
    it at each end. Other types get the range of the values without outliers, plus a tenth at each end.
    """
    full = float(np.iinfo(dtype).max) if dtype.kind in "iu" else None
    ranges = [value_range for values in images if (value_range := _range(values, full)) is not None]
    if not ranges:
        return Window(0.0, 1.0 if dtype.kind == "f" else 255.0)
    # Frames with a single value (closed shutter, overexposure) are ignored if other frames have a range.
    ranges = [value_range for value_range in ranges if value_range[0] < value_range[1]] or ranges
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    if dtype.kind == "u" and dtype.itemsize <= 2:
        top = 2.0 ** next((bits for bits in DEPTHS if high < 2**bits), 16) - 1
        span = high - low
        if top / 64 <= span < top / 4:
            return Window(max(0.0, np.floor(low - span / 4)), min(65535.0, np.ceil(high + span / 4)))
        return Window(0.0, top)
    if dtype.kind == "f" and low >= 0 and 0.25 < high <= 1:
        return Window(0.0, 1.0)
    if high <= low:
        return Window(low - 0.5, high + 0.5)
    spare = (high - low) / 10
    black = 0.0 if low >= 0 > low - spare else low - spare
    white = high + spare
    if dtype.kind in "iu":
        black, white = np.floor(black), np.ceil(white)
    return Window(_rounded(black), _rounded(white))


def _rounded(value: float) -> float:
    """Return the value with five digits, because people read the window."""
    return float(f"{value:.5g}")


def _range(values: NDArray[np.float64], full: float | None) -> tuple[float, float] | None:
    """Return (lowest, highest) of an image's values without outliers and nodata values, or None.

    `full` is the largest value of the type. Defective rows and columns of a sensor often have it.
    """
    if not len(values):
        return None
    ordered = np.sort(values)
    ordered = _without_sentinel(ordered)
    stuck = full is not None and len(ordered) > 0 and ordered[-1] == full
    ordered = -_without_sentinel(-ordered[::-1], gap=_SATURATION_GAP if stuck else _NODATA_GAP)[::-1]
    # At least one value is dropped, so that a single hot pixel of a small image is an outlier too.
    drop = min(max(1, int(len(ordered) * OUTLIERS)), (len(ordered) - 1) // 2)
    low, high = float(ordered[drop]), float(ordered[len(ordered) - 1 - drop])
    # Without a gap, the ends belong to the distribution and are no outliers.
    span = high - low
    if span > 0:
        low = float(ordered[0]) if low - ordered[0] <= span else low
        high = float(ordered[-1]) if ordered[-1] - high <= span else high
    return low, high


def _without_sentinel(ordered: NDArray[np.float64], gap: float = _NODATA_GAP) -> NDArray[np.float64]:
    """Return the ascending values without a lowest value that is repeated far below all others.

    `gap` is the required distance as a multiple of the range of the others.
    """
    repeated = int(np.searchsorted(ordered, ordered[0], side="right"))
    rest = ordered[repeated:]
    if repeated < max(2, _SENTINEL_SHARE * len(ordered)) or len(rest) < 2:
        return ordered
    span = float(rest[-1 - len(rest) // 1000] - rest[0])
    return rest if span > 0 and rest[0] - ordered[0] > gap * span else ordered
