"""A heat map in words, for people who do not see it, and beside it for everybody."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mekiki.review.messages import HEAT, PLACES

# The nine parts of the image, row by row.
_PARTS = (
    ("upper_left", "top", "upper_right"),
    ("left", "middle", "right"),
    ("lower_left", "bottom", "lower_right"),
)
# A second part is named if it holds this share of the strongest.
_SECOND = 0.6
# The sentence names the strongest part against the label if the negative values reach this share of
# the positive values.
_AGAINST = 0.25
# A map whose sum is a smaller share of the change from the blurred image to the image says nothing.
_LEAST = 0.02


def describe_heat_map(
    values: NDArray[np.floating], view: Sequence[float], label: str, *, change: float
) -> str:
    """Return where in the image the map is strongest, in the user's language.

    values: (rows, columns). view: left, top, right and bottom of the map, as shares of the image.
    change: the difference of the lead between the image and its blur.
    """
    positive, negative = np.maximum(values, 0), np.maximum(-values, 0)
    total = float(positive.sum())
    if total <= 0 or float(positive.max()) < _LEAST * abs(change):
        return HEAT.render("none", {"label": label})
    shares = _by_part(positive, view)
    order = sorted(shares, key=lambda name: -shares[name])
    first, second = order[0], order[1]
    facts = {"label": label, "place": PLACES.render(first), "percent": round(100 * shares[first] / total)}
    if shares[second] >= _SECOND * shares[first]:
        more = {"second": PLACES.render(second), "second_percent": round(100 * shares[second] / total)}
        sentences = [HEAT.render("two", facts | more)]
    else:
        sentences = [HEAT.render("strongest", facts)]
    if float(negative.sum()) >= _AGAINST * total:
        against = _by_part(negative, view)
        sentences.append(
            HEAT.render("against", {"place": PLACES.render(max(against, key=against.__getitem__))})
        )
    return ("" if sentences[0].endswith("。") else " ").join(sentences)


def describe_energy_map(values: NDArray[np.floating]) -> str:
    """Return where in the image most fine structure is, in the user's language. values: (rows, columns)."""
    total = float(values.sum())
    if total <= 0:
        return HEAT.render("no_structure")
    shares = _by_part(values, (0.0, 0.0, 1.0, 1.0))
    first = max(shares, key=shares.__getitem__)
    facts = {"place": PLACES.render(first), "percent": round(100 * shares[first] / total)}
    return HEAT.render("structure", facts)


def _by_part(values: NDArray[np.floating], view: Sequence[float]) -> dict[str, float]:
    """Return the sum of the values in each of the nine parts of the image."""
    left, top, right, bottom = view
    sums = dict.fromkeys((name for row in _PARTS for name in row), 0.0)
    rows, columns = values.shape
    for row in range(rows):
        y = top + (bottom - top) * (row + 0.5) / rows
        for column in range(columns):
            x = left + (right - left) * (column + 0.5) / columns
            sums[_PARTS[_third(y)][_third(x)]] += float(values[row, column])
    return sums


def _third(share: float) -> int:
    return min(2, max(0, int(share * 3)))
