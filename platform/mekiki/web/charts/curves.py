"""Curves with an interval: accuracy against answers, and loss against a strength."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from mekiki.web.charts.drawing import (
    LEFT,
    RIGHT,
    band_area,
    coordinate,
    grid_lines,
    percent_label,
    polyline,
    svg_figure,
    ticks,
)


@dataclass(frozen=True)
class Point:
    """One measurement: x, its estimate and the ends of its interval. The last three are in 0…1."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Loss:
    """A loss at a strength above 0, with its standard error, and whether that strength was chosen."""

    strength: float
    loss: float
    error: float
    chosen: bool


def _scale(points: Sequence[Point]) -> tuple[list[float], float, float]:
    """Return the ticks of the vertical axis and its two ends.

    The axis never exceeds 0…1 and is never so short that it exaggerates noise.
    """
    low = min(p.low for p in points)
    lines = ticks(max(0.0, min(low, 0.8)), 1.0)
    return lines, lines[0], lines[-1]


def learning_curve(points: Sequence[Point], *, title: str, description: str, x_label: str) -> SafeString:
    """Return the chart of accuracy against the number of answers, with the interval as a band.

    The points are in ascending x. Raises ValueError if there are no points: say "not measured yet" in words
    instead.
    """
    if not points:
        raise ValueError("A curve needs at least one point.")
    height, top, bottom = 232.0, 18.0, 196.0
    lines, y0, y1 = _scale(points)
    x1 = max(p.x for p in points) or 1.0

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * value / x1

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - y0) / (y1 - y0)

    grid = grid_lines(lines, y, percent_label)
    marks = [v for v in ticks(0, x1, 5) if v <= x1 and v == int(v)]
    x_axis = format_html_join(
        "",
        '<text x="{}%" y="{}" text-anchor="{}">{}</text>',
        [
            (
                coordinate(x(v)),
                coordinate(bottom + 16),
                "start" if v == 0 else "middle" if v < x1 else "end",
                f"{int(v):,}",
            )
            for v in marks
        ],
    )
    dots = format_html_join(
        "",
        '<line class="chart__whisker" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>'
        '<circle class="chart__dot" cx="{0}%" cy="{3}" r="4"/>',
        [
            (coordinate(x(p.x)), coordinate(y(p.high)), coordinate(y(p.low)), coordinate(y(p.y)))
            for p in points
        ]
        if len(points) <= 40
        else [],
    )
    return svg_figure(
        title=title,
        description=description,
        height=height,
        behind=[grid, x_axis],
        x_label=x_label,
        x_label_at=bottom + 33,
        stretched=[
            band_area([(x(p.x), y(p.high), y(p.low)) for p in points]),
            polyline("line", [(x(p.x), y(p.y)) for p in points]),
        ],
        dots=dots,
    )


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def loss_curve(points: Sequence[Loss], *, title: str, description: str, x_label: str) -> SafeString:
    """Return the chart of a loss against the logarithm of a strength, with the standard error as a band.

    The dot of the chosen strength is filled. The points are in ascending strength. Raises ValueError if there
    are no points.
    """
    if not points:
        raise ValueError("A curve needs at least one point.")
    height, top, bottom = 196.0, 18.0, 148.0
    low, high = min(p.loss - p.error for p in points), max(p.loss + p.error for p in points)
    lines = ticks(low, max(high, low + 0.01), 4)  # equal losses still need an axis
    y0, y1 = lines[0], lines[-1]
    powers = [math.log10(p.strength) for p in points]
    x0, x1 = min(powers), max(powers)

    def x(power: float) -> float:
        return LEFT + 6 + (RIGHT - LEFT - 6) * ((power - x0) / (x1 - x0) if x1 > x0 else 0.5)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - y0) / (y1 - y0)

    grid = grid_lines(lines, y, "{:g}".format)
    x_axis = format_html_join(
        "",
        '<text x="{}%" y="{}" text-anchor="middle">10{}</text>',
        [
            (coordinate(x(power)), coordinate(bottom + 16), str(power).translate(_RAISED))
            for power in range(math.ceil(x0), math.floor(x1) + 1)
        ],
    )
    places = [(x(power), p) for power, p in zip(powers, points, strict=True)]
    dots = format_html_join(
        "",
        '<circle class="chart__dot{}" cx="{}%" cy="{}" r="4"/>',
        [
            (" chart__dot--chosen" if p.chosen else "", coordinate(at), coordinate(y(p.loss)))
            for at, p in places
        ],
    )
    return svg_figure(
        title=title,
        description=description,
        height=height,
        behind=[grid, x_axis],
        x_label=x_label,
        x_label_at=bottom + 33,
        stretched=[
            band_area([(at, y(p.loss + p.error), y(p.loss - p.error)) for at, p in places]),
            polyline("line", [(at, y(p.loss)) for at, p in places]),
        ],
        dots=dots,
    )
