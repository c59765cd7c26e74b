"""Shares with their intervals, one row each: dots with whiskers on a common axis from 0 to 100 %."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from mekiki.web.charts.drawing import LEFT, RIGHT, coordinate, svg_figure

_ROW, _TOP = 46.0, 12.0


@dataclass(frozen=True)
class IntervalRow:
    """One share with the ends of its interval, all in 0…1, and its name."""

    label: str
    value: float
    low: float
    high: float
    shown: str


def interval_rows(rows: Sequence[IntervalRow], *, title: str, x_label: str) -> SafeString:
    """Return the chart of the shares. Raises ValueError if there are none: say so in words instead."""
    if not rows:
        raise ValueError("A chart of intervals needs at least one row.")
    bottom = _TOP + _ROW * len(rows)

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * value

    marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    axis = format_html_join(
        "",
        '<line class="chart__grid" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>'
        '<text x="{0}%" y="{3}" text-anchor="{4}">{5} %</text>',
        [
            (
                coordinate(x(v)),
                coordinate(_TOP),
                coordinate(bottom),
                coordinate(bottom + 16),
                "start" if v == 0 else "end" if v == 1 else "middle",
                coordinate(v * 100),
            )
            for v in marks
        ],
    )
    names = format_html_join(
        "",
        '<text x="{}%" y="{}">{} {}</text>',
        [
            (coordinate(LEFT), coordinate(_TOP + _ROW * i + 16), row.label, row.shown)
            for i, row in enumerate(rows)
        ],
    )
    dots = format_html_join(
        "",
        '<line class="chart__whisker" x1="{0}%" x2="{1}%" y1="{2}" y2="{2}"/>'
        '<circle class="chart__dot" cx="{3}%" cy="{2}" r="5"/>',
        [
            (
                coordinate(x(row.low)),
                coordinate(x(row.high)),
                coordinate(_TOP + _ROW * i + 30),
                coordinate(x(row.value)),
            )
            for i, row in enumerate(rows)
        ],
    )
    return svg_figure(
        title=title,
        description="; ".join(f"{row.label}: {row.shown}" for row in rows),
        height=bottom + 40,
        behind=[axis, names],
        x_label=x_label,
        x_label_at=bottom + 33,
        stretched=[],
        dots=dots,
    )
