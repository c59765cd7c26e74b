"""The chart of several lines: correct positions, different strokes, well-formed and safe markup."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.quality.chart_lines import ChartLine, Mark
from mekiki.web.charts import line_chart
from mekiki.web.charts.line_chart import MOST_LINES

SHARES = [Mark(0, "0 %"), Mark(1, "100 %")]
number = st.floats(0, 1000)
values = st.floats(-10, 10)


def draw(lines: list[ChartLine], goal: Mark | None = None) -> ET.Element:
    svg = line_chart(lines, SHARES, title="Coverage", description="All", x_label="images", goal=goal)
    return ET.fromstring(svg)


def points_of(svg: ET.Element) -> list[list[tuple[float, float]]]:
    """Return the points of the drawn lines."""
    lines = list(svg.iter("polyline"))
    return [
        [(float(x), float(y)) for x, y in (p.split(",") for p in e.get("points", "").split())] for e in lines
    ]


def test_lines_rise_with_their_values_and_have_strokes_of_their_own() -> None:
    svg = draw([ChartLine("high", [(100, 0.5), (200, 0.9)]), ChartLine("low", [(100, 0.1), (200, 0.2)])])
    high, low = points_of(svg)
    assert high[0][1] > high[1][1] > 0 and low[0][1] > high[0][1]  # up is a smaller y
    assert high[0][0] == low[0][0] < high[1][0]
    strokes = [e.get("class") for e in svg.iter("polyline")]
    assert strokes == ["chart__line chart__line--1", "chart__line chart__line--2"]
    assert [e.text for e in svg.iter("text") if e.get("class") == "chart__name"] == ["high", "low"]


def test_goal_lies_between_the_values_around_it() -> None:
    svg = draw([ChartLine("a", [(1, 0.2), (2, 0.8)])], goal=Mark(0.5, "needed: 20"))
    [goal] = [e for e in svg.iter("line") if e.get("class") == "chart__goal"]
    [[low, high]] = points_of(svg)
    assert low[1] > float(goal.get("y1", "")) > high[1]
    assert "needed: 20" in [e.text for e in svg.iter("text")]


def test_chart_without_points_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a point"):
        draw([ChartLine("empty", [])])


@given(
    st.lists(st.lists(st.tuples(number, values), min_size=1, max_size=50).map(sorted), min_size=1, max_size=7)
)
def test_every_chart_is_well_formed_and_inside_its_frame(lines: list[list[tuple[float, float]]]) -> None:
    svg = draw([ChartLine(f'"<{place}>', rows) for place, rows in enumerate(lines)])
    drawn = points_of(svg)
    assert len(drawn) == min(len(lines), MOST_LINES)
    height = float(svg.get("height", "0"))
    assert all(0 <= x <= 1000 and 0 <= y <= height for line in drawn for x, y in line)
