"""Figures of reviewers with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from intervals import Difference, median_ranks, stratified_difference, wilson

# With fewer answers no figure is shown, because its interval says almost nothing.
LEAST = 20


@dataclass(frozen=True)
class Share:
    """k of n, with Wilson's 95 % interval."""

    k: int
    n: int

    @property
    def enough(self) -> bool:
        """Return whether there are enough answers to show the share."""
        return self.n >= LEAST

    @property
    def value(self) -> float | None:
        return self.k / self.n if self.n else None

    @property
    def low(self) -> float:
        return wilson(self.k, self.n)[0]

    @property
    def high(self) -> float:
        return wilson(self.k, self.n)[1]


@dataclass(frozen=True)
class Median:
    """The median of n times in seconds with its 95 % interval. The values are 0 if n is 0."""

    n: int
    value: float
    low: float
    high: float

    @property
    def enough(self) -> bool:
        """Return whether there are enough answers to show the median."""
        return self.n >= LEAST

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> "Median":
        """Return the median of times in ascending order."""
        n = len(milliseconds)
        if not n:
            return cls(0, 0.0, 0.0, 0.0)
        low, high = median_ranks(n)
        middle = (milliseconds[(n - 1) // 2] + milliseconds[n // 2]) / 2
        return cls(n, middle / 1000, milliseconds[low] / 1000, milliseconds[high] / 1000)


@dataclass(frozen=True)
class ModelAgreement:
    """Agreement with the head's prediction when it was shown and when it was hidden.

    strata: (k, n) shown and (k, n) blind of each band of confidence. Predictions are shown mostly where the
    head is unsure, and blind images are drawn at random, so the two shares can only be compared at the same
    confidence.
    """

    strata: tuple[tuple[int, int, int, int], ...]

    @property
    def shown(self) -> Share:
        return Share(sum(s[0] for s in self.strata), sum(s[1] for s in self.strata))

    @property
    def blind(self) -> Share:
        return Share(sum(s[2] for s in self.strata), sum(s[3] for s in self.strata))

    @property
    def compared(self) -> tuple[int, int]:
        """Return the numbers of answers, shown and blind, in the bands that have both."""
        both = [s for s in self.strata if s[1] and s[3]]
        return sum(s[1] for s in both), sum(s[3] for s in both)

    @property
    def enough(self) -> bool:
        """Return whether there are enough answers on both sides to compare them."""
        return min(self.compared) >= LEAST

    @property
    def difference(self) -> Difference | None:
        """Return agreement when shown minus agreement when blind, at the same confidence."""
        return stratified_difference(self.strata)
