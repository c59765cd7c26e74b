"""The lines of a chart as the pages of the quality app pass them to the tag `line_chart`."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ChartLine:
    """A line through points (x, y) with its name. band: (x, low, high), or empty."""

    label: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """A mark of an axis: its value and its words."""

    value: float
    label: str
