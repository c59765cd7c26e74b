"""Charts: true to their numbers, well-formed, safe."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.web.charts import Point, Station, learning_curve, loop, ticks


def draw(points):
    return learning_curve(points, title="Accuracy", description="All of it", x_label="answers")


def test_the_line_rises_where_accuracy_rises():
    svg = ET.fromstring(draw([Point(10, 0.6, 0.4, 0.8), Point(50, 0.9, 0.8, 0.97)]))
    line = next(e for e in svg.iter() if e.get("class") == "chart__line").get("points")
    (x0, y0), (x1, y1) = (tuple(map(float, p.split(","))) for p in line.split())
    assert x0 < x1
    assert y1 < y0, "up is a smaller y"
    dots = [e for e in svg.iter() if e.get("class") == "chart__dot"]
    assert [float(d.get("cy")) for d in dots] == [y0, y1]
    assert [float(d.get("cx").rstrip("%")) * 10 for d in dots] == pytest.approx([x0, x1], abs=0.1)


def test_the_band_encloses_the_line():
    svg = ET.fromstring(draw([Point(10, 0.6, 0.4, 0.8), Point(50, 0.9, 0.8, 0.97)]))
    band = next(e for e in svg.iter() if e.get("class") == "chart__band").get("points")
    ys = [float(p.split(",")[1]) for p in band.split()]
    line = next(e for e in svg.iter() if e.get("class") == "chart__line").get("points")
    first, second = (float(p.split(",")[1]) for p in line.split())
    assert ys[0] < first < ys[3]
    assert ys[1] < second < ys[2]


def test_a_name_is_escaped():
    svg = loop(
        [Station(f"<script>{i}</script>", i, str(i)) for i in range(5)],
        title='"><b>',
        description="d",
        back="b",
    )
    assert "<script>" not in svg and "<b>" not in svg
    ET.fromstring(svg)


def test_no_inline_style_for_the_strict_policy():
    assert "style=" not in draw([Point(1, 0.5, 0.4, 0.6)])


def test_a_curve_without_points_is_refused():
    with pytest.raises(ValueError, match="at least one point"):
        draw([])


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
        min_size=1,
        max_size=60,
    )
)
def test_any_measurement_stays_inside_the_figure(rows):
    points = [Point(x, *sorted((a, b, c))[1:2], min(a, b, c), max(a, b, c)) for x, a, b, c in sorted(rows)]
    svg = ET.fromstring(draw(points))
    for element in svg.iter():
        for pair in (element.get("points") or "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 1000 and 0 <= y <= 232


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_cover_the_range_with_few_round_numbers(low, span):
    found = ticks(low, low + span)
    slack = 1e-6 * max(1, abs(low), span)
    assert found[0] <= low + slack and found[-1] >= low + span - slack
    assert 2 <= len(found) <= 8
