"""Defects of production, not of handling: a missing or wrong piece, bad print, loose threads.

The subject builds missing and wrong pieces (`parts.py`, `assemblies.py`) and `printing.py` builds bad print,
because they know the state. This module holds only damage to a finished object.
"""

import numpy as np

from .canvas import Canvas
from .noise import clouds, smoothstep, spectral, strokes

BUILT_IN = frozenset({"missing", "wrong"})
BUILT_IN_SUBJECTS = {
    "missing": frozenset({"gear", "bearing", "bracket", "connector", "board", "tile"}),
    "wrong": frozenset({"bearing", "bracket", "connector", "board", "tile"}),
}


def _draw_nothing(c: Canvas, severity: float) -> None:
    """Do nothing: the defect was drawn while the object was built."""


def _fray(c: Canvas, severity: float) -> None:
    """Draw a tear in a fabric with loose yarns along both sides and ends that stick out."""
    rng = c.rng
    x, y = c.anywhere(0.25)
    turn = c.rolling + rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.25)
    length = rng.uniform(0.25, 0.45 + 0.4 * severity) * c.size
    gape = rng.uniform(0.02, 0.03 + 0.05 * severity) * c.size
    axis = np.arange(c.size, dtype=np.float32)
    cos, sin = np.cos(turn), np.sin(turn)
    along = cos * (axis[None, :] - x) + sin * (axis[:, None] - y)
    across = cos * (axis[:, None] - y) - sin * (axis[None, :] - x)
    if rng.random() < 0.85:
        ragged = 1 + 0.4 * spectral(rng, c.size, beta=0.8, low=0.03)
        opening = gape * ragged * np.clip(1 - (2 * along / length) ** 2, 0, 1) - np.abs(across)
        torn = smoothstep(-1.0, 1.2, opening)
        c.albedo *= 1 - rng.uniform(0.75, 0.92) * torn
        c.height -= 3 * c.unit * torn
        near = (
            np.exp(-((across / (2.2 * gape + 3 * c.unit)) ** 2)) * (np.abs(along) < 0.6 * length) * (1 - torn)
        )
        c.height += near * 1.2 * c.unit * clouds(rng, c.size, 24, 2)
    loose = []
    for _ in range(int(rng.integers(8, 14 + round(22 * severity)))):
        t, side = rng.uniform(-0.5, 0.5) * length, rng.choice([-1, 1])
        px, py = x + cos * t - sin * side * gape * 0.7, y + sin * t + cos * side * gape * 0.7
        heading = turn + side * np.pi / 2 + np.pi * (rng.random() < 0.5) + rng.normal(0, 0.5)
        points = [(float(px), float(py))]
        for _ in range(int(rng.integers(3, 9))):
            heading += rng.normal(0, 0.35)
            px, py = px + 2.2 * c.unit * np.cos(heading), py + 2.2 * c.unit * np.sin(heading)
            points.append((float(px), float(py)))
        loose.append((points, rng.uniform(0.5, 1.1) * c.unit))
    thread = strokes(c.size, loose)
    c.albedo = c.albedo * (1 - thread) + thread * rng.uniform(0.95, 1.35)
    c.height += 2 * c.unit * thread


def speck(c: Canvas, severity: float) -> None:
    """Draw an inclusion in glaze or glass: round grains of dirt or small bubbles."""
    rng = c.rng
    axis = np.arange(c.size, dtype=np.float32)
    bubbles = rng.random() < 0.35
    for _ in range(1 + int(rng.integers(0, 2 + round(3 * severity)))):
        x, y = c.anywhere(0.1)
        radius = rng.uniform(1.4, 2.4 + 3.2 * severity) * c.unit
        away = np.hypot((axis[None, :] - x) / rng.uniform(1, 1.5), axis[:, None] - y)
        if bubbles:
            ring = np.exp(-(((away - radius) / (0.8 * c.unit)) ** 2))
            c.albedo += ring * rng.uniform(0.15, 0.4)
            c.albedo *= 1 - 0.35 * smoothstep(radius, 0.6 * radius, away)
            c.height += 1.5 * c.unit * smoothstep(1.3 * radius, 0.3 * radius, away)
        else:
            grain = smoothstep(
                0.8 * c.unit, -0.8 * c.unit, away - radius * (1 + 0.3 * clouds(rng, c.size, 24, 1))
            )
            c.albedo *= 1 - rng.uniform(0.55, 0.9) * grain
            c.height += rng.uniform(0, 1.2) * c.unit * grain


PRODUCTION_DEFECTS = {
    "missing": _draw_nothing,
    "wrong": _draw_nothing,
    "misprint": _draw_nothing,
    "fray": _fray,
}
