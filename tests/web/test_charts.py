"""Charts: correct for their numbers, well-formed, safe."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.web.charts import (
    Bin,
    LoopStage,
    Loss,
    Point,
    learning_curve,
    loop,
    loss_curve,
    reliability,
    ticks,
)


def draw(points):
    return learning_curve(points, title="Accuracy", description="All of it", x_label="answers")


def test_line_rises_where_accuracy_rises():
    svg = ET.fromstring(draw([Point(10, 0.6, 0.4, 0.8), Point(50, 0.9, 0.8, 0.97)]))
    line = next(e for e in svg.iter() if e.get("class") == "chart__line").get("points")
    (x0, y0), (x1, y1) = (tuple(map(float, p.split(","))) for p in line.split())
    assert x0 < x1
    assert y1 < y0, "up is a smaller y"
    dots = [e for e in svg.iter() if e.get("class") == "chart__dot"]
    assert [float(d.get("cy")) for d in dots] == [y0, y1]
    assert [float(d.get("cx").rstrip("%")) * 10 for d in dots] == pytest.approx([x0, x1], abs=0.1)


def test_band_encloses_the_line():
    svg = ET.fromstring(draw([Point(10, 0.6, 0.4, 0.8), Point(50, 0.9, 0.8, 0.97)]))
    band = next(e for e in svg.iter() if e.get("class") == "chart__band").get("points")
    ys = [float(p.split(",")[1]) for p in band.split()]
    line = next(e for e in svg.iter() if e.get("class") == "chart__line").get("points")
    first, second = (float(p.split(",")[1]) for p in line.split())
    assert ys[0] < first < ys[3]
    assert ys[1] < second < ys[2]


def test_names_are_escaped():
    svg = loop(
        [LoopStage(f"<script>{i}</script>", i, str(i)) for i in range(5)],
        title='"><b>',
        description="d",
        back="b",
    )
    assert "<script>" not in svg and "<b>" not in svg
    ET.fromstring(svg)


def test_charts_have_no_inline_style():
    assert "style=" not in draw([Point(1, 0.5, 0.4, 0.6)])


def test_curve_without_points_is_refused():
    with pytest.raises(ValueError, match="at least one point"):
        draw([])


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
        min_size=1,
        max_size=60,
    )
)
def test_all_points_lie_inside_the_figure(rows):
    points = [Point(x, *sorted((a, b, c))[1:2], min(a, b, c), max(a, b, c)) for x, a, b, c in sorted(rows)]
    svg = ET.fromstring(draw(points))
    for element in svg.iter():
        for pair in (element.get("points") or "").split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 1000 and 0 <= y <= 232


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_cover_the_range_with_few_round_numbers(low, span):
    positions = ticks(low, low + span)
    slack = 1e-6 * max(1, abs(low), span)
    assert positions[0] <= low + slack and positions[-1] >= low + span - slack
    assert 2 <= len(positions) <= 8


def diagram(bins):
    return ET.fromstring(reliability(bins, title="t", description="d", x_label="x", y_label="y"))


def percent_of(element, name):
    return float(element.get(name).rstrip("%"))


@given(
    st.lists(
        st.tuples(st.integers(0, 500), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20
    ).filter(lambda bins: any(count for count, _c, _f in bins))
)
def test_dots_and_bars_match_their_bins(bins):
    n = len(bins)
    all_bins = [Bin(i / n, (i + 1) / n, count, c, f) for i, (count, c, f) in enumerate(bins)]
    svg = diagram(all_bins)
    filled = [bin_ for bin_ in all_bins if bin_.count]
    dots = [e for e in svg.iter() if e.get("class") == "chart__dot"]
    bars = [e for e in svg.iter() if e.get("class") == "chart__bar"]
    assert len(dots) == len(bars) == len(filled)
    ideal = next(e for e in svg.iter() if e.get("class") == "chart__ideal").get("points")
    (left, low), (right, high) = (tuple(map(float, p.split(","))) for p in ideal.split())
    largest = max(filled, key=lambda bin_: bin_.count)
    for bin_, dot, bar in zip(filled, dots, bars, strict=True):
        assert percent_of(dot, "cx") * 10 == pytest.approx(left + (right - left) * bin_.confidence, abs=0.2)
        assert float(dot.get("cy")) == pytest.approx(low + (high - low) * bin_.frequency, abs=0.02)
        share = float(bar.get("height")) / float(bars[filled.index(largest)].get("height"))
        assert share == pytest.approx(max(bin_.count / largest.count, 0.05), abs=0.01), (
            "the smallest bar is visible"
        )
        assert percent_of(bar, "x") >= 0 and percent_of(bar, "x") + percent_of(bar, "width") <= 100


def test_only_wide_bins_show_their_count_in_the_diagram():
    svg = diagram([Bin(0.0, 0.5, 1234, 0.4, 0.5), Bin(0.95, 1.0, 7, 0.97, 1.0)])
    assert [e.text for e in svg.iter() if e.get("class") == "chart__count"] == ["1.2k"]
    with pytest.raises(ValueError, match="at least one answer"):
        diagram([Bin(0.0, 1.0, 0, 0.5, 0.5)])


@given(
    st.lists(
        st.tuples(st.floats(-5, 2), st.floats(0, 20), st.floats(0, 2)),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[0],
    ),
    st.integers(0, 11),
)
def test_losses_lie_inside_the_figure_and_inside_their_band(rows, chosen):
    rows.sort()
    points = [Loss(10**power, loss, error, i == chosen) for i, (power, loss, error) in enumerate(rows)]
    svg = ET.fromstring(loss_curve(points, title="t", description="d", x_label="x"))
    line = next(e for e in svg.iter() if e.get("class") == "chart__line").get("points")
    band = next(e for e in svg.iter() if e.get("class") == "chart__band").get("points")
    positions = [tuple(map(float, p.split(","))) for p in line.split()]
    ys = [float(p.split(",")[1]) for p in band.split()]
    for i, (x, y) in enumerate(positions):
        assert 0 <= x <= 1000 and 0 <= y <= 196
        assert ys[i] - 0.02 <= y <= ys[2 * len(positions) - 1 - i] + 0.02
    assert [x for x, _y in positions] == sorted(x for x, _y in positions)
    filled = [e for e in svg.iter() if "chart__dot--chosen" in (e.get("class") or "")]
    assert len(filled) == (chosen < len(rows))


def test_axis_is_labelled_with_powers_of_ten():
    points = [Loss(10.0**k, 1.0, 0.1, False) for k in range(-5, 2)]
    svg = ET.fromstring(loss_curve(points, title="t", description="d", x_label="x"))
    texts = [e.text for e in svg.iter() if e.tag.endswith("text")]
    assert {"10⁻⁵", "10⁰", "10¹"} <= set(texts)
