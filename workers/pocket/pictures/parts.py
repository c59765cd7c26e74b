"""Outline and relief of machined parts, by signed distance.

Each function takes the canvas with its object coordinates set and returns (outline, relief). The outline is a
distance in object units, positive inside. The relief is a height in pixels on top of the finish.
"""

import numpy as np

from .assemblies import ASSEMBLIES
from .canvas import Canvas
from .noise import Field, smoothstep


def _disc(c: Canvas, radius: float) -> Field:
    return radius - np.hypot(c.x, c.y)


def _polygon(x: Field, y: Field, sides: int, inradius: float) -> Field:
    """Return the distance inside a regular polygon (exact near its sides)."""
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
    if c.state == "missing":  # neighbouring teeth are broken off at the root
        first, gone = (
            int(rng.integers(teeth)),
            teeth // 14 + 1 + int(rng.integers(0, 1 + round(3 * c.severity))),
        )
        away = (np.round(angle * teeth / (2 * np.pi)) - first) % teeth
        wave = np.where(away < gone, -0.65 * depth + 0.015 * np.sin(31 * angle), wave)
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
    width = np.full_like(radius, 0.125)
    number, odd = np.floor(angle / step) % balls, int(rng.integers(balls))
    if c.state == "missing":
        width = np.where(
            (number - odd) % balls < 1 + int(rng.integers(0, 2 + round(c.severity))), 1e-3, width
        )
    elif c.state == "wrong" and rng.random() < 0.5:  # a ball of another size
        width = np.where(number == odd, rng.choice([0.07, 0.08, 0.16]), width)
    ball = np.clip(1 - ((radius - race) ** 2 + off**2) / width**2, 0, 1)
    if c.state == "wrong":
        tints = ((0.7, 0.55, 0.22), (0.1, 0.1, 0.11), (0.68, 0.38, 0.27), (0.9, 0.9, 0.88), (0.6, 0.16, 0.13))
        c.inlay(smoothstep(0, 0.1, ball) * (number == odd), tints[int(rng.integers(len(tints)))])
    groove = smoothstep(0.19, 0.15, np.abs(radius - race))
    relief = -9 * c.unit * groove + 16 * c.unit * np.sqrt(ball)
    # A shielded bearing shows a plain ring instead of the balls.
    if rng.random() < 0.35 and c.state not in ("missing", "wrong"):
        relief = -3 * c.unit * groove
    return np.minimum(_disc(c, 0.95), radius - hole), relief.astype(np.float32)


def _cap(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    radius, angle = np.hypot(c.x, c.y), np.arctan2(c.y, c.x)
    dome = rng.uniform(4, 16) * c.unit * np.sqrt(np.clip(1.02 - radius**2, 0, 1))
    c.label = (0.0, 0.0, 0.55, 0.4)
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
    relief = np.zeros_like(c.x)
    places = [(sign * (wide - 0.28), 0.0) for sign in (-1, 1)]
    if tall > 0.5 and rng.random() < 0.4:
        places = [(x, sign * (tall - 0.24)) for x, _ in places for sign in (-1, 1)]
    # All holes have a screw or none has. One missing or different screw is a defect.
    fastened = c.state in ("missing", "wrong") or rng.random() < 0.25
    odd = int(rng.integers(len(places)))
    for number, (x, y) in enumerate(places):
        if fastened and not (c.state == "missing" and number == odd):
            relief += _screw(c, x, y, bore, odd=c.state == "wrong" and number == odd)
        else:
            outline = np.minimum(outline, np.hypot(c.x - x, c.y - y) - bore)
    c.label = (0.0, 0.0, 0.4, min(0.3, tall - 0.15))
    if rng.random() < 0.4 and c.state != "misprint":
        outline = np.minimum(outline, np.hypot(c.x, c.y) - rng.uniform(0.14, 0.26))
        c.label = None
    return outline, relief.astype(np.float32)


def _screw(c: Canvas, x: float, y: float, bore: float, odd: bool) -> Field:
    """Draw the head of a screw in a hole and return its relief.

    An odd screw has another metal, size or drive.
    """
    rng = c.rng
    radius = bore * 1.45 * (rng.choice([0.72, 1.0, 1.3]) if odd else 1.0)
    away = np.hypot(c.x - x, c.y - y)
    head = smoothstep(radius + 0.02, radius - 0.02, away)
    turn = rng.uniform(0, np.pi)
    u = (c.x - x) * np.cos(turn) + (c.y - y) * np.sin(turn)
    v = (c.y - y) * np.cos(turn) - (c.x - x) * np.sin(turn)
    slot = smoothstep(0.035, 0.02, np.minimum(np.abs(u), np.abs(v))) * (away < 0.6 * radius)
    tints = ((0.72, 0.56, 0.25), (0.1, 0.1, 0.11), (0.66, 0.36, 0.26)) if odd else ((0.62, 0.63, 0.65),)
    c.inlay(head, tints[int(rng.integers(len(tints)))])
    c.albedo *= 1 - 0.6 * slot * head
    c.glint(head, 0.25)
    return c.unit * (5 * head - 2 * slot)


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
    **ASSEMBLIES,
}
