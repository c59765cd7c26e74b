"""A chart of several lines with different strokes, and the names of the lines above it."""

from collections.abc import Sequence
from typing import Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mekiki.web.charts.drawing import (
    LEFT,
    RIGHT,
    band_area,
    coordinate,
    polyline,
    svg_figure,
    ticks,
)

_NAME = 18.0  # pixels for the name of a line
MOST_LINES = 5  # strokes of components/chart.css


class Line(Protocol):
    """A line through points (x, y) in ascending x, with its name. band: (x, low, high) in ascending x."""

    @property
    def label(self) -> str: ...
    @property
    def points(self) -> Sequence[tuple[float, float]]: ...
    @property
    def band(self) -> Sequence[tuple[float, float, float]]: ...


class AxisMark(Protocol):
    """A mark of the vertical axis: its value and its words."""

    @property
    def value(self) -> float: ...
    @property
    def label(self) -> str: ...


def line_chart(
    lines: Sequence[Line],
    marks: Sequence[AxisMark],
    *,
    title: str,
    description: str,
    x_label: str,
    goal: AxisMark | None = None,
) -> SafeString:
    """Return the chart of up to MOST_LINES lines; further lines are left out.

    marks: in ascending order; their ends are the ends of the vertical axis. goal: a horizontal line with its
    words. Raises ValueError if there is no point, or fewer than two marks.
    """
    shown = [line for line in lines if line.points][:MOST_LINES]
    if not shown or len(marks) < 2:
        raise ValueError("A chart of lines needs a point and two marks.")
    top = _NAME * len(shown) + 22
    bottom = top + 178
    y0, y1 = marks[0].value, marks[-1].value
    x1 = max(at for line in shown for at, _value in line.points) or 1.0

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * value / x1

    def y(value: float) -> float:
        return bottom - (bottom - top) * (min(max(value, y0), y1) - y0) / (y1 - y0)

    grid = format_html_join(
        "",
        '<line class="chart__grid" x1="0" x2="100%" y1="{0}" y2="{0}"/><text x="0" y="{1}">{2}</text>',
        [(coordinate(y(mark.value)), coordinate(y(mark.value) - 4), mark.label) for mark in marks],
    )
    columns = [v for v in ticks(0, x1, 5) if 0 < v <= x1 and v == int(v)]
    x_axis = format_html_join(
        "",
        '<text x="{}%" y="{}" text-anchor="{}">{}</text>',
        [
            (
                coordinate(x(v)),
                coordinate(bottom + 16),
                "middle" if v < 0.95 * x1 else "end",
                f"{int(v):,}",
            )
            for v in columns
        ],
    )
    names = format_html_join(
        "",
        '<line class="chart__line chart__line--{0}" x1="0" x2="36" y1="{1}" y2="{1}"/>'
        '<text class="chart__name" x="44" y="{2}">{3}</text>',
        [
            (place, coordinate(_NAME * place - 6), coordinate(_NAME * place - 2), line.label)
            for place, line in enumerate(shown, start=1)
        ],
    )
    behind = [names, grid, x_axis]
    if goal is not None:
        behind.append(
            format_html(
                '<line class="chart__goal" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
                '<text class="chart__name" x="100%" y="{1}" text-anchor="end">{2}</text>',
                coordinate(y(goal.value)),
                coordinate(y(goal.value) - 5),
                goal.label,
            )
        )
    stretched = [
        band_area([(x(at), y(high), y(low)) for at, low, high in line.band]) for line in shown if line.band
    ]
    stretched += [
        polyline(f"line chart__line--{place}", [(x(at), y(value)) for at, value in line.points])
        for place, line in enumerate(shown, start=1)
    ]
    dots = format_html_join(
        "",
        '<circle class="chart__dot" cx="{}%" cy="{}" r="3.5"/>',
        [
            (coordinate(x(at)), coordinate(y(value)))
            for line in shown
            if len(line.points) <= 40
            for at, value in line.points
        ],
    )
    return svg_figure(
        title=title,
        description=description,
        height=bottom + 40,
        behind=behind,
        x_label=x_label,
        x_label_at=bottom + 33,
        stretched=stretched,
        dots=dots,
    )
