"""Defects: one function per defect, which changes heights, reflectance, outline or colour.

``severity`` is between 0 (a trained eye sees the defect) and 1 (everybody sees it).
"""

import numpy as np
from scipy.ndimage import gaussian_filter

from .canvas import Canvas, pixel_grid
from .noise import Field, cells, clouds, smoothstep, spectral, strokes


def _sign(c: Canvas, bright: float = 0.5) -> float:
    return 1.0 if c.rng.random() < bright else -1.0


def _blob(c: Canvas, x: float, y: float, radius: float, rough: float = 0.35, stretch: float = 1.0) -> Field:
    """Return the distance inside an irregular blob, in pixels, positive inside."""
    columns, rows = pixel_grid(c.size)
    angle = c.rng.uniform(0, np.pi)
    dx, dy = columns - x, rows - y
    along = (np.cos(angle) * dx + np.sin(angle) * dy) / stretch
    across = np.cos(angle) * dy - np.sin(angle) * dx
    ragged = clouds(c.rng, c.size, 1.4 * c.size / max(radius, 4), 2)
    return radius * (1 + rough * ragged) - np.hypot(along, across)


def _scratch(c: Canvas, severity: float) -> None:
    rng = c.rng
    count = 1 + int(rng.integers(0, 2 + round(3 * severity)))
    base = rng.uniform(0, np.pi)
    if c.inside is None and rng.random() < 0.5:
        base = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.06)
    parallel = rng.random() < 0.75
    lines = []
    for _ in range(count):
        angle = base + rng.normal(0, 0.05 if parallel else 0.7)
        x, y = c.anywhere(0.1)
        length = rng.uniform(0.25, 0.6 if c.inside is not None else 1.1) * c.size
        steps = np.linspace(-0.5, 0.5, 9)
        bend = rng.normal(0, 0.05) * length
        px = x + steps * length * np.cos(angle) - (steps**2) * bend * np.sin(angle)
        py = y + steps * length * np.sin(angle) + (steps**2) * bend * np.cos(angle)
        lines.append((list(zip(px, py, strict=True)), rng.uniform(1.0, 1.8 + 1.6 * severity) * c.unit))
    # The pressure varies along the line, but the line is never interrupted.
    line = strokes(c.size, lines) * np.clip(0.95 + 0.35 * clouds(rng, c.size, 8, 2), 0.35, 1.3)
    # The groove shows fresh metal, brighter than its surroundings. Rarely it is filled with dirt.
    strength = rng.uniform(0.2, 0.32) + 0.32 * severity
    c.albedo += _sign(c, 0.75) * strength * line
    # The displaced material forms a rim on both sides, which catches the light.
    rim = gaussian_filter(line, 1.2 * c.unit, truncate=2.5)
    depth = rng.uniform(0.4, 1.0 + 1.8 * severity)
    c.height += depth * (0.7 * rim - line)


def _crack(c: Canvas, severity: float) -> None:
    rng = c.rng
    lines: list[tuple[list[tuple[float, float]], float]] = []

    def grow(x: float, y: float, angle: float, length: float, width: float, depth: int) -> None:
        points, step, heading = [(x, y)], 3.0 * c.unit, angle
        for _ in range(max(2, int(length / step))):
            heading = angle + 0.7 * (heading - angle) + rng.normal(0, 0.42)
            x, y = x + step * np.cos(heading), y + step * np.sin(heading)
            points.append((x, y))
            if depth and rng.random() < 0.07:
                grow(
                    x,
                    y,
                    heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.0),
                    length * 0.4,
                    width * 0.7,
                    depth - 1,
                )
        third = max(2, len(points) // 3)
        for start, share in ((0, 1.0), (third - 1, 0.8), (2 * third - 1, 0.55)):
            piece = points[start : start + third + 1]
            if len(piece) > 1:
                lines.append((piece, width * share))

    start = c.edge() if c.inside is not None and rng.random() < 0.7 else c.anywhere()
    middle = c.size / 2
    toward = np.arctan2(middle - start[1], middle - start[0]) + rng.normal(0, 0.6)
    width = (0.7 + 1.4 * severity) * c.unit
    grow(*start, toward, rng.uniform(0.3, 0.75) * c.size, width, 2)
    line = strokes(c.size, lines)
    c.albedo *= 1 - (0.55 + 0.4 * severity) * line
    c.height -= (1.0 + 2.0 * severity) * line


def _crazing(c: Canvas, severity: float) -> None:
    rng = c.rng
    if rng.random() < 0.45:
        _, border = cells(rng, c.size, int(rng.integers(35, 90)), warp=rng.uniform(0.01, 0.05))
        net = np.exp(-((border / rng.uniform(0.1, 0.22)) ** 2))
    else:
        net = np.zeros_like(c.height)
        for _ in range(2):
            scale = rng.uniform(0.02, 0.055) / c.unit
            field = spectral(
                rng, c.size, beta=1.0, low=scale, high=scale * 2, stretch=rng.uniform(1, 2.2), angle=c.rolling
            )
            net = np.maximum(net, np.exp(-((field / rng.uniform(0.1, 0.22)) ** 2)))
    where = smoothstep(-1.4, 0.4, clouds(rng, c.size, 2.5, 2))
    net = (net * where).astype(np.float32)
    c.albedo += _sign(c, 0.15) * (0.07 + 0.2 * severity) * net
    c.height -= (0.3 + 0.7 * severity) * net


def _dent(c: Canvas, severity: float) -> None:
    rng = c.rng
    for _ in range(1 + int(rng.random() < 0.3)):
        x, y = c.anywhere(0.2)
        radius = rng.uniform(0.06, 0.1 + 0.08 * severity) * c.size
        columns, rows = pixel_grid(c.size)
        angle, stretch = rng.uniform(0, np.pi), rng.uniform(1, 1.7)
        dx, dy = columns - x, rows - y
        along = (np.cos(angle) * dx + np.sin(angle) * dy) / stretch
        squared = (along**2 + (np.cos(angle) * dy - np.sin(angle) * dx) ** 2) / radius**2
        # The shape is between a soft bowl and a crater with a flat floor and a steep wall.
        steep = rng.uniform(1.0, 2.2)
        bowl = np.exp(-(squared**steep)) - 0.25 * np.exp(-((np.sqrt(squared) - 1.5) ** 2) * 4)
        c.height -= radius * (0.55 + 0.7 * severity) * bowl.astype(np.float32)
        # The hollow gets less ambient light.
        c.albedo *= 1 - rng.uniform(0.08, 0.2) * np.exp(-squared).astype(np.float32)


def _chip(c: Canvas, severity: float) -> None:
    rng = c.rng
    if c.inside is None:  # a flake is broken out of the surface
        x, y = c.anywhere(0.15)
    else:
        x, y = c.edge()
    radius = rng.uniform(0.07, 0.1 + 0.09 * severity) * c.size
    depth = _blob(c, x, y, radius, 0.3, rng.uniform(1, 1.5))
    rough = spectral(rng, c.size, beta=1.3, high=0.25)
    fracture = smoothstep(-0.8, 0.8, depth)
    c.albedo += fracture * (_sign(c, 0.65) * rng.uniform(0.06, 0.2) + 0.06 * rough)
    c.height += fracture * (0.8 * rough - np.clip(depth, 0, radius) * 0.5)
    if c.inside is not None:
        gone = smoothstep(0.3 * radius, 0.3 * radius + 1.5, depth)
        c.mask *= 1 - gone
        c.inside = np.minimum(c.inside, 0.3 * radius - depth)


def _hole(c: Canvas, severity: float) -> None:
    rng = c.rng
    for _ in range(1 + int(rng.random() < 0.35) + int(rng.random() < 0.15)):
        x, y = c.anywhere(0.12)
        radius = rng.uniform(0.025, 0.04 + 0.05 * severity) * c.size
        inside = _blob(c, x, y, radius, rng.uniform(0.0, 0.12), rng.uniform(1, 1.25))
        void = smoothstep(-0.7, 0.9, inside)
        c.albedo *= 1 - rng.uniform(0.8, 0.95) * void
        c.height -= 2.5 * c.unit * smoothstep(-2.0, 1.0, inside)
        c.albedo += 0.1 * np.exp(-((inside + 1.5) ** 2) / 1.5)


def _blowhole(c: Canvas, severity: float) -> None:
    """Draw gas cavities: round, smooth, of several sizes, close together, each with a lit far wall."""
    rng = c.rng
    x, y = c.anywhere(0.18)
    columns, rows = pixel_grid(c.size)
    spread = rng.uniform(0.04, 0.12) * c.size
    for number in range(int(rng.integers(3, 6 + round(6 * severity)))):
        reach = 0.0 if number == 0 else 1.0
        cx, cy = x + reach * rng.normal(0, spread), y + reach * rng.normal(0, spread)
        radius = rng.uniform(0.012, 0.024 + 0.028 * severity) * c.size * (1.3 if number == 0 else 1.0)
        away = np.hypot(columns - cx, rows - cy)
        cavity = smoothstep(0.9 * c.unit, -0.9 * c.unit, away - radius)
        ball = np.sqrt(np.clip(1 - (away / radius) ** 2, 0, 1))
        c.height -= (0.5 * radius * ball).astype(np.float32)
        c.albedo *= 1 - rng.uniform(0.5, 0.8) * cavity


def _uneven(c: Canvas, severity: float) -> None:
    """Draw thickness, gloss or shade that drifts across an even surface.

    The drift has the form of bands, clouds or a slope, without an outline.
    """
    rng = c.rng
    kind = rng.random()
    columns, rows = pixel_grid(c.size)
    turn = c.rolling + rng.choice([0.0, np.pi / 2])
    along = (np.cos(turn) * columns + np.sin(turn) * rows) / c.size
    if kind < 0.45:  # overlapping bands of a blade, a roller or a spray
        warp = 0.05 * clouds(rng, c.size, 3, 2)
        shade = np.sin(2 * np.pi * (rng.uniform(2.0, 4.5) * (along + warp) + rng.random()))
    elif kind < 0.8:
        shade = clouds(rng, c.size, rng.uniform(1.6, 3.0), 1)
    else:
        shade = 2 * smoothstep(-0.25, 0.25, along - along.mean() + 0.06 * clouds(rng, c.size, 2, 1)) - 1
    shade = np.clip(shade, -1.6, 1.6).astype(np.float32)
    c.albedo *= 1 + (0.16 + 0.22 * severity) * shade
    c.height += (0.3 + 0.5 * severity) * c.unit * shade


def _stain(c: Canvas, severity: float) -> None:
    rng = c.rng
    tints = ((0.25, 0.2, 0.12), (0.1, 0.1, 0.1), (0.85, 0.85, 0.8), (0.3, 0.25, 0.4), (0.2, 0.3, 0.25))
    for _ in range(1 + int(rng.integers(0, 3))):
        x, y = c.anywhere(0.15)
        radius = rng.uniform(0.09, 0.14 + 0.1 * severity) * c.size
        inside = _blob(c, x, y, radius, 0.25, rng.uniform(1, 1.8))
        soft = rng.uniform(1.5, 5) * c.unit
        film = smoothstep(-soft, soft, inside)
        if rng.random() < 0.4:  # a dried drop has a dark rim
            film = 0.45 * film + 0.55 * np.exp(-((inside / (2 * c.unit)) ** 2))
        tint = np.asarray(tints[int(rng.integers(len(tints)))], np.float32)
        c.stains.append((film.astype(np.float32), tint, 0.32 + 0.4 * severity))


def _rust(c: Canvas, severity: float) -> None:
    rng = c.rng
    x, y = c.anywhere(0.1)
    columns, rows = pixel_grid(c.size)
    reach = rng.uniform(0.14, 0.22 + 0.2 * severity) * c.size
    near = -(((columns - x) ** 2 + (rows - y) ** 2) / (reach**2))
    patchy = clouds(rng, c.size, rng.uniform(5, 12), 4, 0.7)
    crust = smoothstep(-0.2, 0.5, 1.0 + near + 0.75 * patchy) * smoothstep(-4.5, -1.0, near)
    mottle = clouds(rng, c.size, 16, 3, 0.8)
    orange = np.asarray((rng.uniform(0.4, 0.58), rng.uniform(0.18, 0.27), rng.uniform(0.04, 0.1)), np.float32)
    brown = np.asarray((0.22, 0.1, 0.05), np.float32)
    opacity = 0.55 + 0.4 * severity
    c.stains.append((crust.astype(np.float32), orange, opacity))
    c.stains.append(((crust * smoothstep(0.0, 1.2, mottle)).astype(np.float32), brown, opacity * 0.8))
    c.height += crust * 0.5 * spectral(rng, c.size, beta=1.0)


def _inclusion(c: Canvas, severity: float) -> None:
    rng = c.rng
    lines = []
    direction = c.rolling + rng.normal(0, 0.08)
    for _ in range(1 + int(rng.integers(0, 2 + round(5 * severity)))):
        x, y = c.anywhere(0.08)
        length = rng.uniform(0.08, 0.2 + 0.35 * severity) * c.size
        x -= length / 2 * np.cos(direction)
        y -= length / 2 * np.sin(direction)
        pieces = int(rng.integers(2, 6))
        for piece in range(pieces):
            a, b = piece / pieces, (piece + rng.uniform(0.5, 1.05)) / pieces
            jitter = rng.normal(0, 0.8 * c.unit, 2)
            points = [
                (
                    x + t * length * np.cos(direction) + jitter[0],
                    y + t * length * np.sin(direction) + jitter[1],
                )
                for t in (a, (a + b) / 2, b)
            ]
            taper = np.sin(np.pi * (a + b) / 2 * 0.9 + 0.15)
            lines.append((points, rng.uniform(0.8, 2.2 + 2.5 * severity) * c.unit * taper))
    sliver = gaussian_filter(strokes(c.size, lines), rng.uniform(0.5, 1.3) * c.unit, truncate=2.5)
    sliver = sliver / (float(sliver.max()) + 1e-6)
    ragged = spectral(rng, c.size, beta=1.0, stretch=3, angle=direction)
    sliver = smoothstep(0.12, rng.uniform(0.5, 0.8), sliver * (1 + 0.45 * ragged))
    c.albedo *= 1 - (0.4 + 0.5 * severity) * sliver
    c.height -= 0.8 * sliver


def _scale(c: Canvas, severity: float) -> None:
    rng = c.rng
    field = spectral(
        rng,
        c.size,
        beta=rng.uniform(0.8, 1.6),
        stretch=rng.uniform(1.2, 3.0),
        angle=c.rolling + rng.choice([0.0, np.pi / 2]),
        low=rng.uniform(0.012, 0.03),
        high=rng.uniform(0.1, 0.25),
    )
    field = field + 0.6 * clouds(rng, c.size, 3, 2)
    level = rng.uniform(0.9, 1.7) - 0.4 * severity
    flakes = smoothstep(level, level + rng.uniform(0.3, 1.4), field)
    c.albedo *= 1 - (0.25 + 0.45 * severity) * flakes
    c.height += 0.7 * flakes
    c.height += 0.12 * spectral(rng, c.size, beta=0.7)


def _pits(c: Canvas, severity: float) -> None:
    rng = c.rng
    field = spectral(
        rng, c.size, beta=rng.uniform(0.2, 0.8), low=0.03 / c.unit, high=rng.uniform(0.09, 0.2) / c.unit
    )
    where = clouds(rng, c.size, rng.uniform(1.5, 4), 2)
    level = rng.uniform(1.3, 2.1) - 0.5 * severity - 0.45 * where
    pits = smoothstep(0, rng.uniform(0.3, 1.0), field - level)
    c.albedo *= 1 - (0.3 + 0.4 * severity) * pits
    c.height -= (1.2 + 1.5 * severity) * pits


def _patches(c: Canvas, severity: float) -> None:
    rng = c.rng
    field = clouds(rng, c.size, rng.uniform(1.8, 4.5), 4, rng.uniform(0.35, 0.6))
    level = rng.uniform(0.2, 0.9)
    slope = rng.uniform(0.08, 0.4)
    patch = smoothstep(level, level + slope, field)
    inner = 1 + 0.25 * clouds(rng, c.size, 10, 3)
    strength = (0.2 + 0.45 * severity) * patch * inner
    if rng.random() < 0.75:
        c.albedo *= 1 - np.clip(strength, 0, 0.9)
    else:
        c.albedo += 0.45 * strength
    c.height += 0.2 * patch * spectral(rng, c.size, beta=0.8)


def _burr(c: Canvas, severity: float) -> None:
    rng = c.rng
    if c.inside is None:
        return
    x, y = c.edge()
    columns, rows = pixel_grid(c.size)
    near = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (rng.uniform(0.12, 0.3) * c.size) ** 2)
    ragged = np.abs(spectral(rng, c.size, beta=0.8, low=0.04 / c.unit, high=0.25))
    reach = near * ragged * (1.6 + 3.2 * severity) * c.unit
    lip = smoothstep(-0.5, 0.5, c.inside + reach) * smoothstep(2.0 * c.unit, 0, c.inside) * near
    c.mask = np.maximum(c.mask, smoothstep(-0.6, 0.6, c.inside + reach))
    c.albedo += (0.25 + 0.3 * severity) * lip
    c.height += 2.0 * lip * ragged


DEFECTS = {
    "scratch": _scratch,
    "crack": _crack,
    "crazing": _crazing,
    "dent": _dent,
    "chip": _chip,
    "hole": _hole,
    "blowhole": _blowhole,
    "stain": _stain,
    "rust": _rust,
    "inclusion": _inclusion,
    "scale": _scale,
    "pits": _pits,
    "patches": _patches,
    "burr": _burr,
    "uneven": _uneven,
}
