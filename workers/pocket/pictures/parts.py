"""Machined parts by signed distance: where the part is, how far inside its outline, how high it stands.

Each function takes the canvas with its object coordinates set and returns (outline, relief): a distance in object
units, positive inside, and a height in pixels on top of the finish.
"""

import numpy as np

from .canvas import Canvas
from .noise import Field, smoothstep


def _disc(c: Canvas, radius: float) -> Field:
    return radius - np.hypot(c.x, c.y)


def _polygon(x: Field, y: Field, sides: int, inradius: float) -> Field:
    """Distance inside a regular polygon (exact near its sides)."""
    angle = np.arctan2(y, x)
    step = 2 * np.pi / sides
    folded = np.abs((angle + step / 2) % step - step / 2)
    return inradius - np.hypot(x, y) * np.cos(folded)


def _box(x: Field, y: Field, half_width: float, half_height: float) -> Field:
    return np.minimum(half_width - np.abs(x), half_height - np.abs(y))


def _washer(c: Canvas) -> tuple[Field, Field]:
    hole = c.rng.uniform(0.35, 0.62)
    return np.minimum(_disc(c, 0.95), -_disc(c, hole)), np.zeros_like(c.x)


def _nut(c: Canvas) -> tuple[Field, Field]:
    hole = c.rng.uniform(0.4, 0.52)
    outline = np.minimum(_polygon(c.x, c.y, 6, 0.86), -_disc(c, hole))
    radius = np.hypot(c.x, c.y)
    chamfer = -6 * c.unit * smoothstep(0.82, 1.0, radius)
    bevel = -5 * c.unit * smoothstep(hole + 0.12, hole, radius)
    return outline, (chamfer + bevel).astype(np.float32)


def _bolt(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    width, neck = rng.uniform(0.2, 0.3), rng.uniform(-0.5, -0.35)
    head = _box(c.x - (neck - 0.22), c.y, 0.24, width * rng.uniform(1.6, 2.0))
    shaft = _box(c.x - 0.28, c.y, 0.75, width)
    pitch = rng.uniform(0.05, 0.09)
    thread = np.sin((c.x + 0.15 * c.y) * 2 * np.pi / pitch)
    round_shaft = 14 * c.unit * np.sqrt(np.clip(1 - (c.y / width) ** 2, 0, 1))
    threaded = (c.x > neck + rng.uniform(0.15, 0.5)) & (shaft > 0)
    relief = np.where(shaft > 0, round_shaft + 1.2 * c.unit * thread * threaded, 6 * c.unit)
    outline = np.maximum(head, shaft + 0.012 * np.where(threaded, thread, 0))
    return outline, relief.astype(np.float32)


def _gear(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    teeth, depth = int(rng.integers(10, 26)), rng.uniform(0.1, 0.17)
    angle, radius = np.arctan2(c.y, c.x), np.hypot(c.x, c.y)
    wave = np.clip(1.8 * np.cos(teeth * angle), -1, 1) * depth / 2
    outline = np.minimum(0.86 + wave - radius, radius - rng.uniform(0.15, 0.3))
    hub = rng.uniform(0.4, 0.6)
    relief = -5 * c.unit * (smoothstep(hub, hub + 0.04, radius) - smoothstep(0.66, 0.7, radius))
    return outline, relief.astype(np.float32)


def _bearing(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    hole = rng.uniform(0.32, 0.42)
    radius, angle = np.hypot(c.x, c.y), np.arctan2(c.y, c.x)
    race = (hole + 0.95) / 2
    balls = int(rng.integers(7, 13))
    step = 2 * np.pi / balls
    off = (angle % step - step / 2) * race
    ball = np.clip(1 - ((radius - race) ** 2 + off**2) / 0.125**2, 0, 1)
    groove = smoothstep(0.19, 0.15, np.abs(radius - race))
    relief = -9 * c.unit * groove + 16 * c.unit * np.sqrt(ball)
    if rng.random() < 0.35:  # a shielded bearing shows a plain ring instead
        relief = -3 * c.unit * groove
    return np.minimum(_disc(c, 0.95), radius - hole), relief.astype(np.float32)


def _cap(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    radius, angle = np.hypot(c.x, c.y), np.arctan2(c.y, c.x)
    dome = rng.uniform(4, 16) * c.unit * np.sqrt(np.clip(1.02 - radius**2, 0, 1))
    knurl = 1.2 * c.unit * np.sin(angle * rng.integers(30, 60)) * smoothstep(0.78, 0.84, radius)
    return _disc(c, 0.92), (dome + knurl).astype(np.float32)


def _bracket(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    wide, tall = 0.92, rng.uniform(0.4, 0.75)
    corner = 0.15
    dx, dy = np.abs(c.x) - (wide - corner), np.abs(c.y) - (tall - corner)
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)
    outline = corner - outside
    bore = rng.uniform(0.1, 0.16)
    for sign in (-1, 1):
        outline = np.minimum(outline, np.hypot(c.x - sign * (wide - 0.28), c.y) - bore)
    if rng.random() < 0.5:
        outline = np.minimum(outline, np.hypot(c.x, c.y) - rng.uniform(0.14, 0.26))
    return outline, np.zeros_like(c.x)


def _shaft(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    width, step = rng.uniform(0.22, 0.34), rng.uniform(-0.3, 0.4)
    thin = width * rng.uniform(0.6, 0.85)
    half = np.where(c.x > step, thin, width)
    outline = np.minimum(half - np.abs(c.y), 0.98 - np.abs(c.x))
    relief = 16 * c.unit * np.sqrt(np.clip(half**2 - c.y**2, 0, 1)) / width
    return outline, relief.astype(np.float32)


PARTS = {
    "washer": _washer,
    "nut": _nut,
    "bolt": _bolt,
    "gear": _gear,
    "bearing": _bearing,
    "cap": _cap,
    "bracket": _bracket,
    "shaft": _shaft,
}
