"""The detail descriptor: local energy and local patterns of an image at its native size, as a short vector.

What decides an inspection is often a spot of ten pixels, which an encoder with an input of 128 or 224 pixels
averages away. This descriptor needs no training. At each of four scales it holds

- local energy: five filters (second derivatives across, down and mixed, and the differences along both
  diagonals) are squared and averaged over overlapping windows. The vector has the logarithm of the mean of
  the whole image, and of the 99 % quantile and the maximum over the windows of each size;
- local binary patterns: how many of a pixel's eight neighbours are brighter, as shares of the pixels (Ojala,
  Pietikäinen and Mäenpää, 2002: the uniform patterns that do not change with rotation).

It sees texture, grain, edges and small defects, wherever they are. It does not see colour, brightness, places
or larger shapes (docs/explanation/detail.md). docs/decisions/0057 has what was tried.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VERSION = 1
SCALES = 4  # each halves the image
WINDOWS = (4, 8, 16)  # pixels of the scale
FILTERS = ("across", "down", "mixed", "diagonal", "other_diagonal")
QUANTILE = 0.99
_BRIGHTER = 2  # A neighbour is brighter if its grey value is higher by more than this.
# The patterns: 0 … 8 brighter neighbours, all beside each other, and all other patterns.
PATTERNS = 10
# Energy of a grey value's rounding error, about: below it, differences of log energy mean nothing.
NOISE = np.float32(0.1)
_BAND = 64  # rows that are filtered at a time, so that they stay in the cache

Grey = NDArray[np.float32]


def _names() -> tuple[str, ...]:
    names = []
    for scale in range(SCALES):
        for kind in FILTERS:
            names.append(f"{kind}/{1 << scale}/mean")
            for window in WINDOWS:
                names += [f"{kind}/{1 << scale}/{window}/q99", f"{kind}/{1 << scale}/{window}/max"]
        names += [f"pattern/{1 << scale}/{pattern}" for pattern in range(PATTERNS)]
    return tuple(names)


# The name of each number: filter / pixels of the image in one of the scale / window / statistic.
NAMES = _names()
DIM = len(NAMES)


def detail_vector(image: Image.Image | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the detail descriptor (DIM,) of an upright image: a PIL image, or (h, w) or (h, w, 3) uint8.

    Any size from 1 × 1 works: pixels beyond the border repeat those at the border where the image is smaller
    than a window. Memory beside the image is about six bytes a pixel. The numbers are sums of float32 in a
    fixed order: on processors whose vector units have other widths, they can differ in the last digits.
    """
    level = grey_values(image)
    parts = []
    for scale in range(SCALES):
        if scale:
            level = halved(level)
        level = at_least(level, 2 + WINDOWS[0])
        for kind in FILTERS:
            parts.append(np.log(_statistics(energy(level, kind)) + NOISE))
        parts.append(np.sqrt(_pattern_shares(level)))
    return np.concatenate(parts).astype(np.float32, copy=False)


def grey_values(image: Image.Image | NDArray[np.uint8]) -> Grey:
    """Return the grey values (h, w), 0 … 255: Rec. 601 luma, rounded as Pillow rounds it."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    return np.asarray(picture.convert("L"), np.float32)


def at_least(grey: Grey, side: int) -> Grey:
    """Return the values, repeated at the border where a side is shorter than `side`."""
    height, width = grey.shape
    if height >= side and width >= side:
        return grey
    return np.pad(grey, ((0, max(0, side - height)), (0, max(0, side - width))), mode="edge")


def halved(grey: Grey) -> Grey:
    """Return the means of 2 × 2 pixels; an odd last row or column is left out."""
    even = grey[: max(1, len(grey) // 2 * 2), : max(1, grey.shape[1] // 2 * 2)]
    rows = even[::2] + even[1::2] if len(even) > 1 else even * np.float32(2)
    sums = rows[:, ::2] + rows[:, 1::2] if even.shape[1] > 1 else rows * np.float32(2)
    sums *= np.float32(0.25)
    return sums


def energy(grey: Grey, kind: str) -> Grey:
    """Return the sums of a filter's squares over 2 × 2 pixels (m, n); the border pixel has no filter."""
    height, width = (side // 2 - 1 for side in grey.shape)
    sums = np.empty((height, width), np.float32)
    for top in range(0, height, _BAND // 2):
        bottom = min(top + _BAND // 2, height)
        band = grey[2 * top : 2 * bottom + 2, : 2 * width + 2]
        if kind == "diagonal":
            values = band[2:, 2:] - band[:-2, :-2]
        elif kind == "other_diagonal":
            values = band[2:, :-2] - band[:-2, 2:]
        elif kind == "mixed":
            values = band[2:, 2:] - band[:-2, 2:]
            values -= band[2:, :-2]
            values += band[:-2, :-2]
        else:
            values = band[1:-1, 1:-1] * np.float32(-2)
            values += band[1:-1, :-2] if kind == "across" else band[:-2, 1:-1]
            values += band[1:-1, 2:] if kind == "across" else band[2:, 1:-1]
        values *= values
        pairs = values[::2] + values[1::2]
        np.add(pairs[:, ::2], pairs[:, 1::2], out=sums[top:bottom])
    return sums


def _statistics(sums: Grey) -> Grey:
    """Return mean energy, and quantile and maximum of the window means, from sums over 2 × 2 pixels."""
    row = [sums.mean(dtype=np.float64) / 4]
    for window in WINDOWS:
        if min(sums.shape) > 1:
            pairs = sums[1:] + sums[:-1]
            means = pairs[:, 1:] + pairs[:, :-1]  # windows that overlap by half
            means *= np.float32(1 / window**2)
            flat = means.ravel()
            place = int(QUANTILE * (len(flat) - 1))
            part = np.partition(flat, place)
            last = part[place], part[place:].max()
            sums = means[::2, ::2]
            sums *= np.float32(window**2)
        row += last  # a window larger than the image: that of the largest one that fits
    return np.array(row, np.float32)


def _pattern_of_byte() -> NDArray[np.uint8]:
    """Return (256,) the pattern of each byte whose bits say which neighbours, in a circle, are brighter."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), PATTERNS - 1).astype(np.uint8)


_PATTERN_OF_BYTE = _pattern_of_byte()
# (row, column) of the eight neighbours in a circle, from the top left one.
_CIRCLE = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))


def _pattern_shares(grey: Grey) -> NDArray[np.float64]:
    """Return the share (PATTERNS,) of the pixels, without those at the border, that have each pattern."""
    height, width = grey.shape[0] - 2, grey.shape[1] - 2
    step = 2 if height > 2 * _BAND else 1  # of a larger image every second row, for speed
    counts = np.zeros(256, np.int64)
    for top in range(0, height, _BAND):
        band = np.rint(grey[top : min(top + _BAND, height) + 2]).astype(np.uint8)
        limit = np.minimum(band[1:-1:step, 1:-1], 255 - _BRIGHTER)  # nothing is brighter than white
        limit += np.uint8(_BRIGHTER)
        code = np.zeros(limit.shape, np.uint8)
        for bit, (row, column) in enumerate(_CIRCLE):
            neighbour = band[row : len(band) - 2 + row : step, column : column + width]
            code |= (neighbour > limit).view(np.uint8) << np.uint8(bit)
        counts += np.bincount(code.ravel(), minlength=256)
    shares = np.bincount(_PATTERN_OF_BYTE, weights=counts, minlength=PATTERNS)
    return shares / counts.sum()
