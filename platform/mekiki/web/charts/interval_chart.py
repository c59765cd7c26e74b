"""A chart of shares with their intervals, one row for each."""

from collections.abc import Sequence
from typing import Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mekiki.web.charts.drawing import LEFT, RIGHT, coordinate, percent_label

ROW = 38.0  # pixels: the words above the line, then the line
TOP = 6.0


class Bar(Protocol):
    """A share from 0 to 1 with its interval. `value` is None if there is no figure."""

    label: str
    value: float | None
    low: float
    high: float
    text: str


def intervals(bars: Sequence[Bar], *, title: str, description: str) -> SafeString:
    """Return one row for each share: its words, then its interval as a line and its value as a dot.

    Raises ValueError if there are no rows.
    """
    if not bars:
        raise ValueError("A chart needs at least one row.")
    bottom = TOP + ROW * len(bars)

    def x(value: float) -> str:
        return coordinate(LEFT + (RIGHT - LEFT) * value)

    marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    grid = format_html_join(
        "",
        '<line class="chart__grid" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>'
        '<text x="{0}%" y="{3}" text-anchor="{4}">{5}</text>',
        [
            (
                x(mark),
                coordinate(TOP),
                coordinate(bottom),
                coordinate(bottom + 15),
                "start" if mark == 0 else "end" if mark == 1 else "middle",
                percent_label(mark),
            )
            for mark in marks
        ],
    )
    rows = []
    for place, bar in enumerate(bars):
        words = TOP + ROW * place + 14
        line = coordinate(words + 13)
        rows.append(
            format_html(
                '<text class="chart__name" x="{}%" y="{}">{}</text>'
                '<text class="chart__value" x="{}%" y="{}" text-anchor="end">{}</text>',
                x(0),
                coordinate(words),
                bar.label,
                x(1),
                coordinate(words),
                bar.text,
            )
        )
        if bar.value is not None:
            rows.append(
                format_html(
                    '<line class="chart__whisker" x1="{}%" x2="{}%" y1="{}" y2="{}"/>'
                    '<circle class="chart__dot chart__dot--chosen" cx="{}%" cy="{}" r="4.5"/>',
                    x(bar.low),
                    x(bar.high),
                    line,
                    line,
                    x(bar.value),
                    line,
                )
            )
    return format_html(
        '<svg role="img" aria-label="{}. {}" width="100%" height="{}">{}{}</svg>',
        title,
        description,
        coordinate(bottom + 22),
        grid,
        format_html_join("", "{}", [(row,) for row in rows]),
    )
