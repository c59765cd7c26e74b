"""Charts as SVG, drawn on the server.

Positions along x are percentages of the figure's width, positions along y are pixels. A chart is therefore as
wide as its container while its text keeps its size, on a phone and on a wall screen. Paths are drawn in a
nested SVG that is stretched; their strokes are not. There are no style attributes because a strict CSP
forbids them.
"""

from mekiki.web.charts.curves import Loss, Point, learning_curve, loss_curve
from mekiki.web.charts.drawing import ticks
from mekiki.web.charts.interval_chart import intervals
from mekiki.web.charts.interval_rows import IntervalRow, interval_rows
from mekiki.web.charts.line_chart import line_chart
from mekiki.web.charts.loop_diagram import LoopStage, loop
from mekiki.web.charts.reliability_diagram import Bin, reliability

__all__ = [
    "Bin",
    "IntervalRow",
    "LoopStage",
    "Loss",
    "Point",
    "interval_rows",
    "intervals",
    "learning_curve",
    "line_chart",
    "loop",
    "loss_curve",
    "reliability",
    "ticks",
]
