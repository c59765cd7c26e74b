"""Subjects of several materials or pieces: connector, printed circuit board, casting, ceramic tile.

As in `parts.py`, each function returns (outline, relief). Colours of pieces are inlaid into the canvas as
they are built. A missing or wrong piece is left out or changed here, because this module knows which pieces
belong.
"""

import numpy as np

from .canvas import Canvas, Points, box, disc
from .noise import Field, smoothstep

GOLD, TIN, SOLDER = (0.80, 0.62, 0.26), (0.72, 0.73, 0.74), (0.66, 0.67, 0.66)


def _rounded(x: Field, y: Field, half_width: float, half_height: float, corner: float) -> Field:
    dx, dy = np.abs(x) - (half_width - corner), np.abs(y) - (half_height - corner)
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0)
    return corner - outside


def _defective_pieces(c: Canvas, count: int) -> set[int]:
    """Return which of ``count`` pieces are missing or wrong."""
    if c.state not in ("missing", "wrong"):
        return set()
    many = 1 + int(c.rng.integers(0, 1 + round(2 * c.severity)))
    first = int(c.rng.integers(count))
    return {(first + step) % count for step in range(min(many, max(1, count // 3)))}


def _face(c: Canvas) -> tuple[Field, Field]:
    """Draw a connector seen from its mating side: rows of contacts in a hollow of the housing."""
    rng = c.rng
    rows, columns = int(rng.integers(1, 4)), int(rng.integers(4, 10))
    tall = 0.22 + 0.13 * rows
    outline = _rounded(c.x, c.y, 0.95, tall, 0.06)
    hollow = smoothstep(0, 0.03, _rounded(c.x, c.y, 0.84, tall - 0.1, 0.03))
    relief = -7 * c.unit * hollow
    c.albedo *= 1 - rng.uniform(0.15, 0.4) * hollow
    metal = GOLD if rng.random() < 0.6 else TIN
    half = min(0.055, 0.5 * 1.5 / columns * rng.uniform(0.5, 0.8))
    defective = _defective_pieces(c, rows * columns)
    sockets: list[Points] = []
    pins: list[Points] = []
    strange: list[Points] = []
    for number in range(rows * columns):
        x = -0.74 + 1.48 * (number % columns) / (columns - 1)
        y = (number // columns - (rows - 1) / 2) * 0.24
        sockets.append(box(x, y, 1.55 * half, 1.55 * half + 0.01))
        if number not in defective:
            pins.append(box(x, y, half, half * 1.15))
        elif c.state == "wrong":
            side = float(rng.choice([-1, 1]))
            bent = box(
                x + side * 1.2 * half, y + rng.normal(0, half), half, 1.6 * half, side * rng.uniform(0.4, 0.9)
            )
            strange.append(bent if rng.random() < 0.6 else box(x, y, half, half * 1.15))
    socket, pin = c.polygons(sockets), c.polygons(pins)
    c.albedo *= 1 - 0.65 * socket
    c.albedo = np.maximum(c.albedo, pin)
    c.inlay(pin, metal)
    if strange:
        other = c.polygons(strange)
        c.albedo = np.maximum(c.albedo, other)
        c.inlay(other, metal if rng.random() < 0.4 else (0.7, 0.4, 0.3) if metal is TIN else TIN)
        pin = np.maximum(pin, other)
    c.glint(pin, 0.5)
    relief += c.unit * (-2 * socket + 6 * pin)
    c.label = (0.0, -(tall - 0.05), 0.4, 0.045)
    return outline, relief.astype(np.float32)


def _comb(c: Canvas) -> tuple[Field, Field]:
    """Draw a connector from the side: a housing with a row of legs."""
    rng = c.rng
    legs = int(rng.integers(5, 12))
    body = _rounded(c.x, c.y + 0.28, 0.95, 0.42, 0.05)
    pitch = 1.66 / (legs - 1)
    half = pitch * rng.uniform(0.16, 0.26)
    odd = _defective_pieces(c, legs)
    metal = GOLD if rng.random() < 0.5 else TIN
    outline, pins = body, np.full_like(body, -1.0)
    ends = rng.uniform(0.55, 0.85)
    for number in range(legs):
        x, lean, tip = -0.83 + number * pitch, 0.0, ends
        if number in odd:
            if c.state == "missing":
                continue
            lean = float(rng.choice([-1, 1])) * rng.uniform(0.35, 0.8)
            tip = ends - 0.05
        slant = c.x - x - lean * np.clip(c.y - 0.16, 0, None)
        pins = np.maximum(pins, np.minimum(half - np.abs(slant), np.minimum(c.y - 0.1, tip - c.y)))
    outline = np.maximum(body, pins)
    metal_mask = smoothstep(-0.01, 0.01, pins) * (body < 0.0)
    c.inlay(metal_mask, metal)
    c.glint(metal_mask, 0.5)
    ridge = smoothstep(0.03, 0.0, np.abs(c.y + rng.uniform(0.3, 0.5))) * (body > 0.06)
    windows = c.polygons([box(-0.83 + n * pitch, -0.02, half, 0.06) for n in range(legs)])
    c.albedo *= 1 - 0.45 * windows
    relief = c.unit * (5 * smoothstep(0, 0.04, body) + 1.5 * ridge - 2.5 * windows)
    c.label = (0.0, -0.35, 0.6, 0.16)
    return outline, relief.astype(np.float32)


def _connector(c: Canvas) -> tuple[Field, Field]:
    return _face(c) if c.rng.random() < 0.6 and c.state != "misprint" else _comb(c)


def _sites(c: Canvas, count: int, tall: float) -> list[tuple[str, float, float, float, float]]:
    """Return places of components that do not overlap: (kind, x, y, half width, half height)."""
    rng = c.rng
    sites: list[tuple[str, float, float, float, float]] = []
    for attempt in range(count * 8):
        kind = (
            "chip"
            if not sites or (attempt < 6 and rng.random() < 0.3)
            else str(rng.choice(("resistor", "capacitor", "small")))
        )
        if kind == "chip":
            w, h = rng.uniform(0.18, 0.32), rng.uniform(0.15, 0.27)
        else:
            w, h = {"resistor": (0.13, 0.075), "capacitor": (0.12, 0.12), "small": (0.09, 0.055)}[kind]
            if rng.random() < 0.5:
                w, h = h, w
        x, y = rng.uniform(-0.8 + w, 0.8 - w), rng.uniform(-tall + h + 0.2, tall - h - 0.2)
        if all(abs(x - fx) > w + fw + 0.08 or abs(y - fy) > h + fh + 0.08 for _, fx, fy, fw, fh in sites):
            sites.append((kind, float(x), float(y), float(w), float(h)))
        if len(sites) == count:
            break
    return sites


def _traces(c: Canvas, sites: list[tuple[str, float, float, float, float]], tall: float) -> list[Points]:
    """Return thin strips between components, along the axes."""
    rng = c.rng
    strips: list[Points] = []
    thin = rng.uniform(0.01, 0.018)
    for _, x, y, _w, h in sites:
        for _ in range(int(rng.integers(1, 4))):
            tx, ty = rng.uniform(-0.88, 0.88), rng.uniform(-tall + 0.06, tall - 0.06)
            y0 = y + rng.uniform(-h, h)
            strips += [
                box((x + tx) / 2, y0, abs(tx - x) / 2 + thin, thin),
                box(tx, (y0 + ty) / 2, thin, abs(ty - y0) / 2),
                disc(tx, ty, 2.2 * thin, 8),
            ]
    return strips


def _board(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    tall = rng.uniform(0.6, 0.9)
    outline = _rounded(c.x, c.y, 0.94, tall, 0.05)
    if rng.random() < 0.7:
        for side, end in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            outline = np.minimum(outline, np.hypot(c.x - side * 0.84, c.y - end * (tall - 0.1)) - 0.05)
    sites = _sites(c, int(rng.integers(5, 11)), tall)
    track = c.polygons(_traces(c, sites, tall))
    relief = 0.5 * c.unit * track
    c.albedo *= 1 + rng.uniform(0.2, 0.5) * track
    odd = _defective_pieces(c, len(sites))
    pads: list[Points] = []
    bodies: dict[tuple[float, float, float], list[Points]] = {}
    ends: list[Points] = []
    marks: list[Points] = []
    ceramic = [(0.62, 0.47, 0.32), (0.7, 0.6, 0.42)][int(rng.integers(2))]
    for number, (kind, x, y, w, h) in enumerate(sites):
        turned = w < h
        if kind == "chip":
            legs = max(3, int(w / 0.05))
            for leg in range(legs):
                lx = x - 0.85 * w + 1.7 * w * leg / (legs - 1)
                pads += [box(lx, y - h, 0.016, 0.05), box(lx, y + h, 0.016, 0.05)]
        elif turned:
            pads += [box(x, y - h, w * 1.1, 0.035), box(x, y + h, w * 1.1, 0.035)]
        else:
            pads += [box(x - w, y, 0.035, h * 1.1), box(x + w, y, 0.035, h * 1.1)]
        turn, fw, fh, dark = float(rng.normal(0, 0.02)), w, h, (0.06, 0.06, 0.065)
        tint = {"chip": dark, "resistor": (0.09, 0.09, 0.1), "capacitor": (0.62, 0.62, 0.64)}.get(
            kind, ceramic
        )
        if number in odd:
            if c.state == "missing":
                continue
            change = rng.random()
            if change < 0.4:  # rotated by a right angle, or skewed
                turn = (
                    np.pi / 2
                    if kind != "chip" and rng.random() < 0.5
                    else rng.choice([-1, 1]) * rng.uniform(0.3, 0.7)
                )
            elif change < 0.7:
                fw, fh = fw * 0.6, fh * 0.6
                turn = rng.normal(0, 0.15)
            else:
                colours = ((0.75, 0.5, 0.1), (0.1, 0.2, 0.55), (0.55, 0.1, 0.1), (0.85, 0.84, 0.8))
                tint = colours[int(rng.integers(4))]
        shape = disc(x, y, fw * 0.95) if kind == "capacitor" else box(x, y, fw * 0.92, fh * 0.86, float(turn))
        bodies.setdefault(tint, []).append(shape)
        if kind in ("resistor", "small"):
            cos, sin = np.cos(turn), np.sin(turn)
            for side in (-1, 1):
                ex, ey = (0.0, side * fh * 0.78) if turned else (side * fw * 0.78, 0.0)
                size = (fw * 0.92, fh * 0.2) if turned else (fw * 0.2, fh * 0.9)
                ends.append(
                    box(x + float(cos * ex - sin * ey), y + float(sin * ex + cos * ey), *size, float(turn))
                )
        elif kind == "chip":
            marks.append(disc(x - 0.7 * fw, y - 0.6 * fh, 0.022, 8))
            marks.append(box(x + 0.1 * fw, y, 0.4 * fw, 0.012, float(turn)))
    pad = c.polygons(pads)
    c.inlay(pad, SOLDER)
    c.albedo = np.maximum(c.albedo * (1 - pad), pad * 1.05).astype(np.float32)
    c.glint(pad, 0.4)
    relief += 1.2 * c.unit * pad
    everything = np.zeros_like(c.x)
    for tint, shapes in bodies.items():
        cover = c.polygons(shapes)
        c.inlay(cover, tint)
        everything = np.maximum(everything, cover)
    c.albedo = c.albedo * (1 - everything) + everything
    metal = c.polygons(ends)
    c.inlay(metal, TIN)
    c.glint(metal, 0.4)
    c.inlay(c.polygons(marks), (0.75, 0.75, 0.73), 0.7)
    relief += 4 * c.unit * everything
    c.label = (float(rng.uniform(-0.25, 0.25)), float(rng.choice([-1, 1])) * (tall - 0.12), 0.5, 0.085)
    return outline, relief.astype(np.float32)


def _casting(c: Canvas) -> tuple[Field, Field]:
    """Draw a casting: a body with round corners, bosses with bores, ribs between them."""
    rng = c.rng
    tall = rng.uniform(0.5, 0.8)
    wobble = 0.02 * np.sin(3 * c.x + rng.uniform(0, 6)) * np.sin(4 * c.y + rng.uniform(0, 6))
    outline = _rounded(c.x, c.y, rng.uniform(0.78, 0.9), tall, rng.uniform(0.12, 0.3)) + wobble
    relief = np.zeros_like(c.x)
    middle = rng.uniform(0.25, 0.42)
    lugs = int(rng.integers(2, 5))
    start = rng.uniform(0, 2 * np.pi)
    for number in range(lugs):
        turn = start + 2 * np.pi * number / lugs
        x, y = 0.74 * np.cos(turn), min(0.74, tall) * np.sin(turn)
        radius = rng.uniform(0.15, 0.2)
        away = np.hypot(c.x - x, c.y - y)
        outline = np.maximum(outline, radius + 0.03 - away)
        relief += 6 * c.unit * smoothstep(radius + 0.04, radius - 0.03, away)
        bore = radius * 0.45
        outline = np.minimum(outline, away - bore)
        along = c.x * np.cos(turn) + c.y * np.sin(turn)
        across = np.abs(c.y * np.cos(turn) - c.x * np.sin(turn))
        if rng.random() < 0.8:
            relief += (
                4.5
                * c.unit
                * smoothstep(0.09, 0.04, across)
                * smoothstep(middle, middle + 0.1, along)
                * (along < 0.7)
            )
    away = np.hypot(c.x, c.y)
    relief = np.maximum(relief, 9 * c.unit * smoothstep(middle + 0.08, middle - 0.02, away))
    hollow = middle * rng.uniform(0.45, 0.7)
    if rng.random() < 0.5:
        outline = np.minimum(outline, away - hollow)
    else:  # a blind bore
        blind = smoothstep(hollow + 0.03, hollow - 0.02, away)
        relief -= 12 * c.unit * blind
        c.albedo *= 1 - rng.uniform(0.3, 0.6) * blind
    # The seam of the sand mould.
    relief += rng.uniform(0.5, 1.5) * c.unit * smoothstep(0.03, 0.0, np.abs(c.y + 0.05 * c.x))
    return outline, relief.astype(np.float32)


def _tile(c: Canvas) -> tuple[Field, Field]:
    rng = c.rng
    tall = rng.choice([0.92, 0.92, 0.62])
    outline = _rounded(c.x, c.y, 0.92, float(tall), 0.03)
    if c.state in ("missing", "wrong") or (rng.random() < 0.3 and c.state != "misprint"):
        return outline, _mosaic(c, float(tall))
    edge = rng.uniform(0.04, 0.12)
    relief = rng.uniform(3, 8) * c.unit * smoothstep(0, edge, outline)
    pattern = rng.random()
    second = np.clip(np.asarray(c.colour) * rng.uniform(0.45, 0.8, 3), 0.03, 0.9).astype(np.float32)
    if pattern < 0.15:
        ring = smoothstep(0.02, 0.0, np.abs(np.abs(c.x) + np.abs(c.y) - rng.uniform(0.5, 0.75)) - 0.05)
        c.inlay(ring, second)
    elif pattern < 0.3:
        corner = np.hypot(np.abs(c.x) - 0.92, np.abs(c.y) - float(tall))
        c.inlay(smoothstep(0.02, 0.0, np.abs(corner - 0.5) - 0.06), second)
    elif pattern < 0.42:
        stripe = np.abs(((c.x * rng.integers(2, 5)) % 1.0) - 0.5)
        c.inlay(smoothstep(0.12, 0.1, stripe), second, 0.8)
    c.label = (0.0, 0.0, 0.6, 0.45 * float(tall))
    return outline, relief.astype(np.float32)


def _mosaic(c: Canvas, tall: float) -> Field:
    """Draw small tiles in grout, some of which may be missing or different, and return the relief."""
    rng = c.rng
    columns = int(rng.integers(2, 6))
    rows = max(2, round(columns * tall / 0.92))
    u, v = (c.x / 0.92 + 1) / 2 * columns, (c.y / tall + 1) / 2 * rows
    number = np.clip(np.floor(u), 0, columns - 1) + columns * np.clip(np.floor(v), 0, rows - 1)
    gap = 0.5 - np.maximum(np.abs(u - np.floor(u) - 0.5), np.abs(v - np.floor(v) - 0.5))
    body = smoothstep(0.035, 0.07, gap)
    shade = 1 + 0.04 * rng.standard_normal(columns * rows).astype(np.float32)
    c.albedo *= shade[number.astype(int)]
    odd = _defective_pieces(c, columns * rows)
    here = np.isin(number, list(odd)) if odd else np.zeros_like(body, bool)
    plain = np.asarray(c.colour, np.float32)
    if c.state == "wrong":
        other = plain * 0.45 if plain.mean() > 0.35 else plain + 0.4
        c.inlay(here.astype(np.float32), np.clip(other * rng.uniform(0.75, 1.25, 3), 0.03, 0.95))
    elif c.state == "missing":
        body = body * ~here
    grout = np.asarray((0.62, 0.6, 0.57) if rng.random() < 0.7 else (0.25, 0.25, 0.25), np.float32)
    c.inlay(1 - body, grout)
    if c.state == "missing":  # the bed shows the marks of the trowel
        ripple = np.sin(c.x * 45 + 2 * np.sin(c.y * 9)) * here
        c.albedo *= 1 - 0.25 * here - 0.1 * ripple
    c.glint(1 - body, -0.5)
    rise = smoothstep(0.035, 0.12, gap) * (~here if c.state == "missing" else 1)
    return (4 * c.unit * rise).astype(np.float32)


ASSEMBLIES = {
    "connector": _connector,
    "board": _board,
    "casting": _casting,
    "tile": _tile,
}
