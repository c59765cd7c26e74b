"""Confidence intervals that pages and workers share: proportions, their differences, medians.

The package knows neither Django nor NumPy, so that the web process and the array libraries can use it.

Sources: Wilson (1927), "Probable inference, the law of succession, and statistical inference". Newcombe
(1998), "Interval estimation for the difference between independent proportions", method 10. Zou and Donner
(2008), "Construction of confidence limits about effect measures", for the sum over strata. The formulas are
in docs/explanation/evaluation.md and docs/explanation/automation-bias.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

# The number of trials up to which the ranks of a median are exact.
EXACT_UP_TO = 1000


def wilson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson interval of a proportion of k successes in n trials; (0, 1) for n = 0.

    Raises:
        ValueError: k outside [0, n], or confidence outside (0, 1).
    """
    z = _quantile(confidence)
    if n < 0 or not 0 <= k <= n:
        raise ValueError(f"need 0 <= k <= n, got k={k}, n={n}")
    if n == 0:
        return 0.0, 1.0
    share = k / n
    widen = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / widen
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / widen
    # Exact 0 and 1, without rounding errors.
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Difference:
    """A difference of two proportions with its interval, each in −1…1."""

    value: float
    low: float
    high: float


def newcombe(k1: int, n1: int, k2: int, n2: int, confidence: float = 0.95) -> Difference:
    """Return k1 / n1 − k2 / n2 with Newcombe's hybrid score interval.

    Raises:
        ValueError: n1 or n2 is 0, or a number is out of range as for `wilson`.
    """
    if not n1 or not n2:
        raise ValueError("a difference needs trials on both sides")
    (l1, u1), (l2, u2) = wilson(k1, n1, confidence), wilson(k2, n2, confidence)
    p1, p2 = k1 / n1, k2 / n2
    value = p1 - p2
    low = value - math.hypot(p1 - l1, u2 - p2)
    high = value + math.hypot(u1 - p1, p2 - l2)
    return Difference(value, max(-1.0, low), min(1.0, high))


def stratified_difference(
    strata: Iterable[tuple[int, int, int, int]], confidence: float = 0.95
) -> Difference | None:
    """Return the difference of two proportions within strata (k1, n1, k2, n2), or None without a common one.

    The strata are weighted by n1 n2 / (n1 + n2), as by Mantel and Haenszel. A stratum without trials on one
    side has the weight 0. The limits of the strata are Newcombe's, and are combined as by Zou and Donner.
    """
    parts = [
        (n1 * n2 / (n1 + n2), newcombe(k1, n1, k2, n2, confidence)) for k1, n1, k2, n2 in strata if n1 and n2
    ]
    total = sum(weight for weight, _part in parts)
    if not parts:
        return None
    value = sum(weight * part.value for weight, part in parts) / total
    low = value - math.hypot(*(weight * (part.value - part.low) / total for weight, part in parts))
    high = value + math.hypot(*(weight * (part.high - part.value) / total for weight, part in parts))
    return Difference(value, max(-1.0, low), min(1.0, high))


def median_ranks(n: int, confidence: float = 0.95) -> tuple[int, int]:
    """Return the ranks (from 0) of the sorted values that enclose the median; the ends if n is too small.

    The coverage is that of the binomial distribution with probability 1/2, for any distribution of the
    values. Above 1,000 values the normal approximation is used.

    Raises:
        ValueError: n below 1, or confidence outside (0, 1).
    """
    z = _quantile(confidence)
    if n < 1:
        raise ValueError(f"a median needs at least one value, got {n}")
    if n > EXACT_UP_TO:
        below = math.floor((n - 1 - z * math.sqrt(n)) / 2)  # with a continuity correction
    else:
        below, total, tail = 0, 0, (1 - confidence) / 2 * 2**n
        # The largest number of values below the interval whose probability stays within the tail.
        while below < n // 2 and (total := total + math.comb(n, below)) <= tail:
            below += 1
        below -= 1
    below = min(max(0, below), (n - 1) // 2)
    return below, n - 1 - below


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError("confidence must lie strictly between 0 and 1")
    return NormalDist().inv_cdf(0.5 + confidence / 2)
