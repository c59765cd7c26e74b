"""Energy maps: where in an image the fine structure is.

The detail descriptor (detail.py) holds means and maxima of local energy, without places. A map shows the
places: for each cell of a grid, how far the strongest local energy in the cell lies above that of the median
cell of the image. It describes the image. It does not show what a head used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .detail import FILTERS, NOISE, SCALES, at_least, energy, grey_values, halved

CELLS = 24  # along the longer side
LEAST_CELL = 8  # pixels of the image
_WINDOW = 4  # pixels of the scale


def energy_map(image: Image.Image | NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the map (rows, columns) ≥ 0 of an upright image, in units of log energy.

    The filters and scales are those of the detail descriptor, with its smallest window. The value of a cell
    is the mean over the filters, and the maximum over the scales.
    """
    level = grey_values(image)
    height, width = level.shape
    cells = min(CELLS, max(1, max(height, width) // LEAST_CELL))
    rows, columns = (max(1, round(cells * side / max(height, width))) for side in (height, width))
    highest = np.zeros((rows, columns), np.float32)
    for scale in range(SCALES):
        if scale:
            level = halved(level)
        level = at_least(level, 2 + _WINDOW)
        above = np.zeros((rows, columns), np.float32)
        for kind in FILTERS:
            sums = energy(level, kind)
            means = (sums[1:, 1:] + sums[:-1, 1:] + sums[1:, :-1] + sums[:-1, :-1]) / np.float32(_WINDOW**2)
            strongest = np.log(_maxima(means, rows, columns) + NOISE)
            above += strongest - np.median(strongest)
        np.maximum(highest, above / np.float32(len(FILTERS)), out=highest)
    return highest


def _maxima(values: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return the maxima of the values in each cell of a grid. A cell without a value gets its neighbour's."""
    tops = np.arange(rows) * len(values) // rows
    lefts = np.arange(columns) * values.shape[1] // columns
    return np.maximum.reduceat(np.maximum.reduceat(values, tops, axis=0), lefts, axis=1)
