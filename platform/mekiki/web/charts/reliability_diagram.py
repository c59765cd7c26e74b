"""The reliability diagram of a head."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mekiki.web.charts.drawing import LEFT, RIGHT, coordinate, grid_lines, percent_label, polyline, svg_figure


@dataclass(frozen=True)
class Bin:
    """Answers with a confidence in lower…upper: their number, mean confidence and share of right answers."""

    lower: float
    upper: float
    count: int
    confidence: float
    frequency: float


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
    grid = grid_lines(marks, y, percent_label)
    x_axis = format_html_join(
        "",
        '<text x="{}%" y="{}" text-anchor="{}">{} %</text>',
        [
            (
                coordinate(x(v)),
                coordinate(floor + 16),
                "start" if v == 0 else "end" if v == 1 else "middle",
                coordinate(v * 100),
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
                coordinate(x(bucket.lower) + 0.2),
                coordinate(max(0.4, (RIGHT - LEFT) * (bucket.upper - bucket.lower) - 0.4)),
                coordinate(floor - max(1.5, tallest * bucket.count / most)),
                coordinate(max(1.5, tallest * bucket.count / most)),
            )
            for bucket in bins
        ],
    )
    numbers = format_html_join(
        "",
        '<text class="chart__count" x="{}%" y="{}" text-anchor="middle">{}</text>',
        [
            (
                coordinate(x((bucket.lower + bucket.upper) / 2)),
                coordinate(floor - max(1.5, tallest * bucket.count / most) - 4),
                f"{bucket.count:,}"
                if bucket.count < 1000
                else f"{coordinate(round(bucket.count / 1000, 1))}k",
            )
            for bucket in bins
            if bucket.upper - bucket.lower >= _MIN_NUMBERED_BIN_WIDTH
        ],
    )
    dots = format_html_join(
        "",
        '<circle class="chart__dot" cx="{}%" cy="{}" r="4"/>',
        [(coordinate(x(bucket.confidence)), coordinate(y(bucket.frequency))) for bucket in bins],
    )
    return svg_figure(
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
            polyline("ideal", [(x(0), y(0)), (x(1), y(1))]),
            polyline("line", [(x(bucket.confidence), y(bucket.frequency)) for bucket in bins]),
        ],
        dots=dots,
    )
