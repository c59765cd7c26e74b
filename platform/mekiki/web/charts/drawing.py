"""The parts of a chart: coordinates, axes, lines, and the frame around them."""

from collections.abc import Callable, Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

# Margins at the left and right ends, in percent of the width, for half a dot and half a word.
LEFT, RIGHT = 2.0, 97.0


def coordinate(value: float) -> str:
    """Return a coordinate as short text that is the same in every language."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about `about` round numbers from at or below `low` to at or above `high`."""
    span = max(high - low, 1e-9)
    step = 10.0**-12
    for exponent in range(-12, 13):
        for factor in (1, 2, 2.5, 5):
            step = factor * 10.0**exponent
            if span / step <= about:
                first, last = int(low // step), -int(-high // step)
                return [round(i * step, 12) for i in range(first, last + 1)]
    return [low, high]


def grid_lines(
    marks: Sequence[float], y: Callable[[float], float], shown: Callable[[float], str]
) -> SafeString:
    """Return horizontal lines at the marks, each with its number above it."""
    return format_html_join(
        "",
        '<line class="chart__grid" x1="0" x2="100%" y1="{0}" y2="{0}"/><text x="0" y="{1}">{2}</text>',
        [(coordinate(y(v)), coordinate(y(v) - 4), shown(v)) for v in marks],
    )


def percent_label(value: float) -> str:
    """Return a share as a percentage, the same in every language."""
    return f"{coordinate(value * 100)} %"


def polyline(kind: str, points: Sequence[tuple[float, float]]) -> SafeString:
    """Return a line through points (x in percent of the width, y)."""
    return format_html(
        '<polyline class="chart__{}" vector-effect="non-scaling-stroke" points="{}"/>', kind, _points(points)
    )


def band_area(points: Sequence[tuple[float, float, float]]) -> SafeString:
    """Return the area between points (x in percent of the width, upper y, lower y)."""
    around = [(x, high) for x, high, _low in points] + [(x, low) for x, _high, low in reversed(points)]
    return format_html('<polygon class="chart__band" points="{}"/>', _points(around))


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{coordinate(x * 10)},{coordinate(y)}" for x, y in points)


def svg_figure(
    *,
    title: str,
    description: str,
    height: float,
    behind: Sequence[SafeString],
    x_label: str,
    x_label_at: float,
    stretched: Sequence[SafeString],
    dots: SafeString,
) -> SafeString:
    """Return a chart as wide as its container.

    The shapes in `stretched` are drawn 1000 wide and stretched. Texts and dots are not stretched.
    """
    return format_html(
        '<svg role="img" aria-label="{title}. {description}" width="100%" height="{height}">'
        '{behind}<text x="100%" y="{x_label_at}" text-anchor="end">{x_label}</text>'
        '<svg width="100%" height="{height}" viewBox="0 0 1000 {height}" preserveAspectRatio="none">'
        "{stretched}</svg>{dots}</svg>",
        title=title,
        description=description,
        height=coordinate(height),
        behind=format_html_join("", "{}", [(shape,) for shape in behind]),
        x_label=x_label,
        x_label_at=coordinate(x_label_at),
        stretched=format_html_join("", "{}", [(shape,) for shape in stretched]),
        dots=dots,
    )
