"""Rounding of numbers that are shown with their sum."""

import math
from collections.abc import Sequence


def round_to_sum(values: Sequence[float], total: float, digits: int = 2) -> list[float]:
    """Return the values rounded to `digits` places, so that the rounded values add up to `total`.

    total: the rounded sum of the values. The values with the largest remainders are rounded up.
    """
    unit = 10**digits
    scaled = [value * unit for value in values]
    whole = [math.floor(value) for value in scaled]
    missing = round(total * unit) - sum(whole)
    order = sorted(range(len(values)), key=lambda at: whole[at] - scaled[at])
    for at in order[: max(0, missing)]:
        whole[at] += 1
    return [value / unit for value in whole]
