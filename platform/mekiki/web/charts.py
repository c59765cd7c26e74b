"""Charts as SVG, drawn on the server.

Positions along x are percentages of the figure's width, positions along y are pixels. A chart is therefore as
wide as its container while its text keeps its size, on a phone and on a wall screen. Paths are drawn in a
nested SVG that is stretched; their strokes are not. There are no style attributes because a strict CSP
forbids them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

# Margins at the left and right ends, in percent of the width, for half a dot and half a word.
LEFT, RIGHT = 2.0, 97.0


@dataclass(frozen=True)
class Point:
    """One measurement: x, its estimate and the ends of its interval. The last three are in 0…1."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """Answers with a confidence in lower…upper: their number, mean confidence and share of right answers."""

    lower: float
    upper: float
    count: int
    confidence: float
    frequency: float


@dataclass(frozen=True)
class Loss:
    """A loss at a strength above 0, with its standard error, and whether that strength was chosen."""

    strength: float
    loss: float
    error: float
    chosen: bool


@dataclass(frozen=True)
class LoopStage:
    """One stage of the loop and the number of images there. `shown` is the formatted number."""

    label: str
    count: int
    shown: str


def _number(value: float) -> str:
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


def _scale(
    points: Sequence[Point], height: float, top: float, bottom: float
) -> tuple[list[float], float, float]:
    """Return the ticks of the vertical axis and its two ends.

    The axis never exceeds 0…1 and is never so short that it exaggerates noise.
    """
    low = min(p.low for p in points)
    lines = ticks(max(0.0, min(low, 0.8)), 1.0)
    return lines, lines[0], lines[-1]


def _grid(marks: Sequence[float], y: Callable[[float], float], shown: Callable[[float], str]) -> SafeString:
    """Return horizontal lines at the marks, each with its number above it."""
    return format_html_join(
        "",
        '<line class="chart__grid" x1="0" x2="100%" y1="{0}" y2="{0}"/><text x="0" y="{1}">{2}</text>',
        [(_number(y(v)), _number(y(v) - 4), shown(v)) for v in marks],
    )


def _percent(value: float) -> str:
    return f"{_number(value * 100)} %"


def _line(kind: str, points: Sequence[tuple[float, float]]) -> SafeString:
    """Return a line through points (x in percent of the width, y)."""
    return format_html(
        '<polyline class="chart__{}" vector-effect="non-scaling-stroke" points="{}"/>', kind, _points(points)
    )


def _band(points: Sequence[tuple[float, float, float]]) -> SafeString:
    """Return the area between points (x in percent of the width, upper y, lower y)."""
    around = [(x, high) for x, high, _low in points] + [(x, low) for x, _high, low in reversed(points)]
    return format_html('<polygon class="chart__band" points="{}"/>', _points(around))


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x * 10)},{_number(y)}" for x, y in points)


def _figure(
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
        height=_number(height),
        behind=format_html_join("", "{}", [(shape,) for shape in behind]),
        x_label=x_label,
        x_label_at=_number(x_label_at),
        stretched=format_html_join("", "{}", [(shape,) for shape in stretched]),
        dots=dots,
    )


def learning_curve(points: Sequence[Point], *, title: str, description: str, x_label: str) -> SafeString:
    """Return the chart of accuracy against the number of answers, with the interval as a band.

    The points are in ascending x. Raises ValueError if there are no points: say "not measured yet" in words
    instead.
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

    grid = _grid(lines, y, _percent)
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
    dots = format_html_join(
        "",
        '<line class="chart__whisker" x1="{0}%" x2="{0}%" y1="{1}" y2="{2}"/>'
        '<circle class="chart__dot" cx="{0}%" cy="{3}" r="4"/>',
        [(_number(x(p.x)), _number(y(p.high)), _number(y(p.low)), _number(y(p.y))) for p in points]
        if len(points) <= 40
        else [],
    )
    return _figure(
        title=title,
        description=description,
        height=height,
        behind=[grid, x_axis],
        x_label=x_label,
        x_label_at=bottom + 33,
        stretched=[
            _band([(x(p.x), y(p.high), y(p.low)) for p in points]),
            _line("line", [(x(p.x), y(p.y)) for p in points]),
        ],
        dots=dots,
    )


# A bin narrower than this share of the axis has no room for its number. The table shows that number.
_MIN_NUMBERED_BIN_WIDTH = 0.06


def reliability(
    bins: Sequence[Bin], *, title: str, description: str, x_label: str, y_label: str
) -> SafeString:
    """Return the reliability diagram: share of right answers against confidence, with counts below.

    The dashed line shows perfect calibration. Raises ValueError if there are no answers.
    """
    bins = [bucket for bucket in bins if bucket.count]
    if not bins:
        raise ValueError("A reliability diagram needs at least one answer.")
    height, top, bottom, floor, tallest = 292.0, 24.0, 196.0, 252.0, 30.0

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * value

    def y(value: float) -> float:
        return bottom - (bottom - top) * value

    marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    grid = _grid(marks, y, _percent)
    x_axis = format_html_join(
        "",
        '<text x="{}%" y="{}" text-anchor="{}">{} %</text>',
        [
            (
                _number(x(v)),
                _number(floor + 16),
                "start" if v == 0 else "end" if v == 1 else "middle",
                _number(v * 100),
            )
            for v in marks
        ],
    )
    most = max(bucket.count for bucket in bins)
    bars = format_html_join(
        "",
        '<rect class="chart__bar" x="{}%" width="{}%" y="{}" height="{}"/>',
        [
            (
                _number(x(bucket.lower) + 0.2),
                _number(max(0.4, (RIGHT - LEFT) * (bucket.upper - bucket.lower) - 0.4)),
                _number(floor - max(1.5, tallest * bucket.count / most)),
                _number(max(1.5, tallest * bucket.count / most)),
            )
            for bucket in bins
        ],
    )
    numbers = format_html_join(
        "",
        '<text class="chart__count" x="{}%" y="{}" text-anchor="middle">{}</text>',
        [
            (
                _number(x((bucket.lower + bucket.upper) / 2)),
                _number(floor - max(1.5, tallest * bucket.count / most) - 4),
                f"{bucket.count:,}" if bucket.count < 1000 else f"{_number(round(bucket.count / 1000, 1))}k",
            )
            for bucket in bins
            if bucket.upper - bucket.lower >= _MIN_NUMBERED_BIN_WIDTH
        ],
    )
    dots = format_html_join(
        "",
        '<circle class="chart__dot" cx="{}%" cy="{}" r="4"/>',
        [(_number(x(bucket.confidence)), _number(y(bucket.frequency))) for bucket in bins],
    )
    return _figure(
        title=title,
        description=description,
        height=height,
        behind=[
            grid,
            bars,
            numbers,
            x_axis,
            format_html('<text x="100%" y="12" text-anchor="end">{}</text>', y_label),
        ],
        x_label=x_label,
        x_label_at=floor + 33,
        stretched=[
            _line("ideal", [(x(0), y(0)), (x(1), y(1))]),
            _line("line", [(x(bucket.confidence), y(bucket.frequency)) for bucket in bins]),
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

    grid = _grid(lines, y, "{:g}".format)
    x_axis = format_html_join(
        "",
        '<text x="{}%" y="{}" text-anchor="middle">10{}</text>',
        [
            (_number(x(power)), _number(bottom + 16), str(power).translate(_RAISED))
            for power in range(math.ceil(x0), math.floor(x1) + 1)
        ],
    )
    places = [(x(power), p) for power, p in zip(powers, points, strict=True)]
    dots = format_html_join(
        "",
        '<circle class="chart__dot{}" cx="{}%" cy="{}" r="4"/>',
        [(" chart__dot--chosen" if p.chosen else "", _number(at), _number(y(p.loss))) for at, p in places],
    )
    return _figure(
        title=title,
        description=description,
        height=height,
        behind=[grid, x_axis],
        x_label=x_label,
        x_label_at=bottom + 33,
        stretched=[
            _band([(at, y(p.loss + p.error), y(p.loss - p.error)) for at, p in places]),
            _line("line", [(at, y(p.loss)) for at, p in places]),
        ],
        dots=dots,
    )


def loop(stations: Sequence[LoopStage], *, title: str, description: str, back: str) -> SafeString:
    """Return the loop as one diagram: stations in a row, and an arrow from the fourth back to the second.

    `back` is the text on that arrow. Stations with images are filled.
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
        '<polyline class="loop__back" vector-effect="non-scaling-stroke" '
        'points="{start},100 {start},122 {end},122 {end},104"/></svg>'
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
