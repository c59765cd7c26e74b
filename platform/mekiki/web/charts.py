"""Charts as SVG drawn on the server.

Positions along x are percentages of the figure's width and along y pixels, so that a chart is as wide as
its place while its words keep their size, on a phone as on a wall screen; paths are drawn in a nested SVG
that is stretched, with strokes that are not. No style attributes: a strict CSP forbids them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

# Room at the left and right ends, in per cent of the width, for half a dot and half a word.
LEFT, RIGHT = 2.0, 97.0


@dataclass(frozen=True)
class Point:
    """One measurement: x, its estimate and the ends of its interval, all three in 0…1."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Station:
    """One place of the loop: how many images are there. `shown` is the number as it is written."""

    label: str
    count: int
    shown: str


def _number(value: float) -> str:
    """A coordinate: short, and the same in every language."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from at or below low to at or above high, around `about` of them."""
    span = max(high - low, 1e-9)
    step = 10.0**-12
    for exponent in range(-12, 13):
        for factor in (1, 2, 2.5, 5):
            step = factor * 10.0**exponent
            if span / step <= about:
                first, last = int(low // step), -int(-high // step)
                return [round(i * step, 12) for i in range(first, last + 1)]
    return [low, high]


def _scale(
    points: Sequence[Point], height: float, top: float, bottom: float
) -> tuple[list[float], float, float]:
    """Ticks of the vertical axis, and its ends: never more than 0…1, never a range that exaggerates noise."""
    low = min(p.low for p in points)
    lines = ticks(max(0.0, min(low, 0.8)), 1.0)
    return lines, lines[0], lines[-1]


def learning_curve(points: Sequence[Point], *, title: str, description: str, x_label: str) -> SafeString:
    """Accuracy against answers given, with its interval as a band. Points in ascending x.

    ValueError for no points: say "not measured yet" in words instead.
    """
    if not points:
        raise ValueError("A curve needs at least one point.")
    height, top, bottom = 232.0, 18.0, 196.0
    lines, y0, y1 = _scale(points, height, top, bottom)
    x1 = max(p.x for p in points) or 1.0

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * value / x1

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - y0) / (y1 - y0)

    grid = format_html_join(
        "",
        '<line class="chart__grid" x1="0" x2="100%" y1="{0}" y2="{0}"/><text x="0" y="{1}">{2} %</text>',
        [(_number(y(v)), _number(y(v) - 4), _number(v * 100)) for v in lines],
    )
    marks = [v for v in ticks(0, x1, 5) if v <= x1 and v == int(v)]
    x_axis = format_html_join(
        "",
        '<text x="{}%" y="{}" text-anchor="{}">{}</text>',
        [
            (
                _number(x(v)),
                _number(bottom + 16),
                "start" if v == 0 else "middle" if v < x1 else "end",
                f"{int(v):,}",
            )
            for v in marks
        ],
    )
    above = [f"{_number(x(p.x) * 10)},{_number(y(p.high))}" for p in points]
    below = [f"{_number(x(p.x) * 10)},{_number(y(p.low))}" for p in reversed(points)]
    line = " ".join(f"{_number(x(p.x) * 10)},{_number(y(p.y))}" for p in points)
    dots = format_html_join(
        "",
        '<line class="chart__whisker" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>'
        '<circle class="chart__dot" cx="{0}%" cy="{3}" r="4"/>',
        [(_number(x(p.x)), _number(y(p.high)), _number(y(p.low)), _number(y(p.y))) for p in points]
        if len(points) <= 40
        else [],
    )
    return format_html(
        '<svg role="img" aria-label="{title}. {description}" width="100%" height="{height}">'
        "{grid}{x_axis}"
        '<text x="100%" y="{label_y}" text-anchor="end">{x_label}</text>'
        '<svg width="100%" height="{height}" viewBox="0 0 1000 {height}" preserveAspectRatio="none">'
        '<polygon class="chart__band" points="{band}"/>'
        '<polyline class="chart__line" vector-effect="non-scaling-stroke" points="{line}"/></svg>{dots}</svg>',
        title=title,
        description=description,
        height=_number(height),
        grid=grid,
        x_axis=x_axis,
        label_y=_number(bottom + 33),
        x_label=x_label,
        band=" ".join(above + below),
        line=line,
        dots=dots,
    )


def loop(stations: Sequence[Station], *, title: str, description: str, back: str) -> SafeString:
    """The loop as one picture: stations in a row, and the way back from the fourth to the second.

    `back` names what goes the way back. Stations with images are filled.
    """
    width = 100 / len(stations)
    centres = [width * (i + 0.5) for i in range(len(stations))]
    links = format_html_join(
        "",
        '<line class="loop__way{}" x1="{}%" x2="{}%" y1="58" y2="58"/>',
        [
            (
                " loop__way--used" if stations[i + 1].count else "",
                _number(centres[i]),
                _number(centres[i + 1]),
            )
            for i in range(len(stations) - 1)
        ],
    )
    places = format_html_join(
        "",
        '<text class="loop__count" x="{x}%" y="32" text-anchor="middle">{shown}</text>'
        '<circle class="loop__place{used}" cx="{x}%" cy="58" r="8"/>'
        '<text class="loop__label" x="{x}%" y="90" text-anchor="middle">{label}</text>',
        [
            {
                "x": _number(c),
                "shown": s.shown,
                "label": s.label,
                "used": " loop__place--used" if s.count else "",
            }
            for c, s in zip(centres, stations)
        ],
    )
    start, end = _number(centres[3] * 10), _number(centres[1] * 10)
    return format_html(
        '<svg class="loop" role="img" aria-label="{title}. {description}" width="100%" height="158">'
        "{links}"
        '<svg width="100%" height="158" viewBox="0 0 1000 158" preserveAspectRatio="none">'
        '<polyline class="loop__back" vector-effect="non-scaling-stroke" points="{start},100 {start},122 {end},122 '
        '{end},104"/></svg>'
        '<svg x="{arrow}%" y="100" width="1" height="1" overflow="visible">'
        '<polyline class="loop__arrow" points="-5,8 0,1 5,8"/></svg>'
        "{places}"
        '<text class="loop__note" x="50%" y="143" text-anchor="middle">{back}</text></svg>',
        title=title,
        description=description,
        links=links,
        places=places,
        start=start,
        end=end,
        arrow=_number(centres[1]),
        back=back,
    )
