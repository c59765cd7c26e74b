"""Materials without defects: one function per finish, which writes heights and reflectance."""

import numpy as np

from .canvas import Canvas, pixel_grid
from .noise import Field, cells, clouds, smoothstep, spectral


def _rolled(c: Canvas) -> None:
    rng = c.rng
    stretch = rng.uniform(1.5, 7)
    grain = spectral(rng, c.size, beta=rng.uniform(0.8, 1.6), stretch=stretch, angle=c.rolling, low=0.01)
    c.height += rng.uniform(0.06, 0.3) * grain
    c.albedo += rng.uniform(0.015, 0.07) * clouds(rng, c.size, rng.uniform(2, 6), 4, 0.7)
    if rng.random() < 0.5:
        c.albedo += rng.uniform(0.01, 0.05) * spectral(
            rng, c.size, beta=0.6, stretch=stretch, angle=c.rolling
        )
    c.gloss = rng.uniform(0.0, 0.2)


def _brushed(c: Canvas) -> None:
    rng = c.rng
    lines = spectral(rng, c.size, beta=rng.uniform(0.2, 0.8), stretch=rng.uniform(14, 45), angle=c.rolling)
    c.height += rng.uniform(0.12, 0.35) * lines
    c.albedo += rng.uniform(0.02, 0.06) * lines
    c.gloss = rng.uniform(0.2, 0.5)


def _cast(c: Canvas) -> None:
    rng = c.rng
    rough = spectral(rng, c.size, beta=rng.uniform(1.2, 2.0), low=0.02, high=rng.uniform(0.15, 0.4))
    c.height += rng.uniform(0.25, 0.65) * rough
    c.albedo += rng.uniform(0.01, 0.05) * clouds(rng, c.size, 8, 3)
    c.gloss = rng.uniform(0.0, 0.15)


def _painted(c: Canvas) -> None:
    rng = c.rng
    peel = spectral(rng, c.size, beta=0.5, low=0.03, high=rng.uniform(0.06, 0.12))
    c.height += rng.uniform(0.02, 0.16) * peel
    c.albedo += rng.uniform(0.0, 0.02) * clouds(rng, c.size, 3, 2)
    c.gloss = rng.uniform(0.25, 0.7)


def _milled(c: Canvas) -> None:
    rng = c.rng
    period = rng.uniform(3.0, 9.0) * c.unit
    wobble = rng.uniform(0.2, 1.5) * clouds(rng, c.size, 4, 2)
    if rng.random() < 0.5:  # face turning: rings about the object's centre
        phase = np.hypot(c.x, c.y) * c.size * 0.4 * 2 * np.pi / period
    else:
        along = np.cos(c.rolling) * c.y - np.sin(c.rolling) * c.x
        phase = along * c.size * 0.4 * 2 * np.pi / period
    c.height += rng.uniform(0.12, 0.45) * np.sin(phase + wobble)
    c.height += 0.08 * spectral(rng, c.size, beta=0.6)
    c.gloss = rng.uniform(0.15, 0.45)


def _polished(c: Canvas) -> None:
    rng = c.rng
    c.albedo += rng.uniform(0.01, 0.04) * clouds(rng, c.size, 2, 2)
    c.height += rng.uniform(0.4, 1.2) * clouds(rng, c.size, 2, 2)
    c.height += rng.uniform(0.0, 0.05) * spectral(rng, c.size, beta=0.5, stretch=6, angle=c.rolling)
    c.gloss = rng.uniform(0.5, 0.9)


def _galvanised(c: Canvas) -> None:
    rng = c.rng
    index, border = cells(rng, c.size, int(rng.integers(16, 60)), warp=0.02)
    c.albedo += rng.uniform(0.05, 0.13) * rng.standard_normal(64).astype(np.float32)[index]
    c.albedo -= 0.05 * np.exp(-((border / 0.08) ** 2))
    c.height += 0.1 * spectral(rng, c.size, beta=1.0)
    c.gloss = rng.uniform(0.1, 0.4)


def _blasted(c: Canvas) -> None:
    rng = c.rng
    grain = spectral(rng, c.size, beta=rng.uniform(0.1, 0.6), high=rng.uniform(0.15, 0.35))
    c.height += rng.uniform(0.15, 0.5) * grain
    c.albedo += rng.uniform(0.01, 0.04) * grain
    c.gloss = rng.uniform(0.0, 0.15)


def _ceramic(c: Canvas) -> None:
    rng = c.rng
    c.height += rng.uniform(0.05, 0.3) * clouds(rng, c.size, rng.uniform(2, 5), 1)
    c.albedo += rng.uniform(0.0, 0.03) * clouds(rng, c.size, 3, 2)
    if rng.random() < 0.4:  # flecks in the glaze, evenly spread
        fleck = spectral(rng, c.size, beta=0.2, low=0.05 / c.unit, high=0.2 / c.unit)
        c.albedo -= rng.uniform(0.06, 0.18) * smoothstep(1.7, 2.4, fleck)
    c.gloss = rng.uniform(0.4, 0.9)


def _along(c: Canvas, turn: float) -> tuple[Field, Field]:
    columns, rows = pixel_grid(c.size)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return cos * columns + sin * rows, cos * rows - sin * columns


def _fabric(c: Canvas) -> None:
    """Draw woven yarns: plain weave, twill, or one of them in two colours."""
    rng = c.rng
    period = rng.uniform(3.6, 8.0) * c.unit
    along, across = _along(c, c.rolling)
    sway = rng.uniform(0.05, 0.3)
    u = along / period + sway * clouds(rng, c.size, 5, 3)
    v = across / (period * rng.uniform(0.8, 1.2)) + sway * clouds(rng, c.size, 5, 3)
    column, row = np.floor(u), np.floor(v)
    fu, fv = u - column - 0.5, v - row - 0.5
    number = (column + row) % (4 if rng.random() < 0.4 else 2)
    over = number < (2 if number.max() > 1.5 else 1)
    round_u, round_v = 1 - (1.7 * fu) ** 2, 1 - (1.7 * fv) ** 2
    lift = np.where(over, round_u * (0.7 + 0.3 * round_v), 0.75 * round_v * (0.7 + 0.3 * round_u))
    thick = rng.uniform(0.02, 0.08) * rng.standard_normal((2, 512)).astype(np.float32)
    yarn = np.where(over, thick[0][column.astype(int) % 512], thick[1][row.astype(int) % 512])
    c.height += (rng.uniform(0.25, 0.5) * period * lift).astype(np.float32)
    c.albedo *= (0.72 + 0.3 * lift + yarn).astype(np.float32)
    if rng.random() < 0.35:  # weft of another shade
        c.inlay((~over).astype(np.float32), np.clip(c.colour * rng.uniform(0.6, 1.4, 3), 0.03, 0.95), 0.8)
    c.albedo += 0.04 * spectral(rng, c.size, beta=0.3)
    c.gloss = rng.uniform(0.0, 0.06)


def _wood(c: Canvas) -> None:
    rng = c.rng
    along, across = _along(c, c.rolling)
    bend = clouds(rng, c.size, rng.uniform(1.2, 2.2), 1)
    period = rng.uniform(7, 22) * c.unit
    phase = (
        across / period
        + 0.6 * bend
        + 0.4 * np.sin(along / (rng.uniform(40, 120) * c.unit) + rng.uniform(0, 6))
    )
    knot = None
    if rng.random() < 0.18:  # a knot: the rings bend around it
        kx, ky = along.mean() + rng.normal(0, 0.25 * c.size), across.mean() + rng.normal(0, 0.25 * c.size)
        away = np.hypot((along - kx) / 1.7, across - ky)
        radius = rng.uniform(3, 7) * c.unit
        phase += 1.6 * np.exp(-((away / (3.5 * radius)) ** 2))
        knot = smoothstep(1.2 * radius, 0.7 * radius, away)
    rings = np.abs((phase % 1.0) - rng.uniform(0.2, 0.8))
    fibres = spectral(rng, c.size, beta=0.5, stretch=rng.uniform(16, 40), angle=c.rolling)
    strength = rng.uniform(0.15, 0.4)
    c.albedo *= (1 - strength + 1.6 * strength * rings).astype(np.float32)
    c.albedo += rng.uniform(0.03, 0.08) * fibres
    c.height += rng.uniform(0.08, 0.3) * fibres
    if knot is not None:
        c.albedo *= (1 - 0.5 * knot).astype(np.float32)
    c.gloss = rng.uniform(0.0, 0.3)


def _glass(c: Canvas) -> None:
    """Draw glass: a blurred background behind it and reflections."""
    rng = c.rng
    behind = clouds(rng, c.size, rng.uniform(1.2, 3.0), 2)
    c.albedo += rng.uniform(0.03, 0.16) * behind
    along, _ = _along(c, rng.uniform(0, np.pi))
    along = (along - along.mean()) / c.size
    c.albedo += rng.uniform(0.1, 0.5) * along
    for _ in range(int(rng.integers(0, 4))):  # windows and lamps
        where, width = rng.uniform(-0.5, 0.5), rng.uniform(0.03, 0.16)
        band = smoothstep(width, 0.6 * width, np.abs(along - where))
        c.inlay(band, (0.95, 0.97, 1.0), rng.uniform(0.1, 0.4))
    c.height += rng.uniform(0.0, 0.4) * clouds(rng, c.size, 2, 1)
    c.gloss = rng.uniform(0.4, 0.9)


def _plastic(c: Canvas) -> None:
    rng = c.rng
    if rng.random() < 0.55:  # eroded mould: fine even grain
        c.height += rng.uniform(0.08, 0.28) * spectral(rng, c.size, beta=0.2, high=rng.uniform(0.12, 0.3))
        c.gloss = rng.uniform(0.02, 0.2)
    else:
        c.height += rng.uniform(0.1, 0.6) * clouds(rng, c.size, 2.5, 2)
        c.gloss = rng.uniform(0.3, 0.8)
    c.albedo += rng.uniform(0.0, 0.03) * clouds(rng, c.size, 3, 3)


def _resist(c: Canvas) -> None:
    """Draw solder resist on a laminate, with a trace of the glass weave."""
    rng = c.rng
    weave = np.sin(c.x * 90) * np.sin(c.y * 90)
    c.height += rng.uniform(0.02, 0.1) * weave
    c.albedo += rng.uniform(0.0, 0.03) * clouds(rng, c.size, 5, 3)
    c.gloss = rng.uniform(0.1, 0.4)


FINISHES = {
    "rolled": _rolled,
    "brushed": _brushed,
    "cast": _cast,
    "painted": _painted,
    "milled": _milled,
    "polished": _polished,
    "galvanised": _galvanised,
    "blasted": _blasted,
    "ceramic": _ceramic,
    "fabric": _fabric,
    "wood": _wood,
    "glass": _glass,
    "plastic": _plastic,
    "resist": _resist,
}

# Colours of the material, roughly linear RGB before exposure. Drawing varies them.
TONES: dict[str, tuple[float, float, float]] = {
    "steel": (0.56, 0.57, 0.59),
    "dark": (0.26, 0.27, 0.29),
    "bright": (0.80, 0.81, 0.82),
    "brass": (0.72, 0.58, 0.28),
    "copper": (0.70, 0.42, 0.30),
    "red": (0.66, 0.15, 0.13),
    "blue": (0.16, 0.28, 0.58),
    "green": (0.18, 0.44, 0.26),
    "yellow": (0.80, 0.64, 0.14),
    "white": (0.86, 0.86, 0.84),
    "grey": (0.48, 0.48, 0.48),
    "beige": (0.78, 0.70, 0.56),
    "brown": (0.40, 0.25, 0.15),
    "oak": (0.74, 0.55, 0.34),
    "walnut": (0.42, 0.27, 0.17),
    "clear": (0.66, 0.72, 0.72),
}
METALS = ("steel", "dark", "bright", "brass", "copper")
PAINTS = ("dark", "red", "blue", "green", "yellow", "white")
_TONES_OF = {
    "cast": ("steel", "steel", "dark", "bright", "brass", "copper"),
    "painted": PAINTS,
    "ceramic": ("white", "white", "beige", "grey", "blue", "green", "brown", "dark"),
    "fabric": ("white", "beige", "grey", "dark", "blue", "red", "green", "brown", "yellow"),
    "wood": ("oak", "walnut", "brown", "beige"),
    "glass": ("clear", "clear", "clear", "blue", "green", "brown", "dark"),
    "plastic": ("dark", "dark", "white", "grey", "beige", "red", "blue", "green", "yellow"),
    "resist": ("green", "green", "green", "blue", "dark", "red"),
}
METAL_FINISHES = ("rolled", "brushed", "cast", "milled", "polished", "galvanised", "blasted")
_METAL = dict.fromkeys((*METAL_FINISHES, "painted"), 1.0)
# Frequency of a finish for a subject, relative to its other finishes.
_FINISHES_OF: dict[str, dict[str, float]] = {
    "surface": {
        **dict.fromkeys(METAL_FINISHES, 0.042),
        "rolled": 0.2,
        "painted": 0.08,
        "ceramic": 0.1,
        "fabric": 0.1,
        "wood": 0.08,
        "glass": 0.09,
        "plastic": 0.1,
    },
    "washer": {**_METAL, "plastic": 1.0},
    "gear": {**_METAL, "plastic": 1.5},
    "cap": {**_METAL, "plastic": 4.0},
    "bracket": {**_METAL, "plastic": 1.0},
    "connector": {"plastic": 1.0},
    "board": {"resist": 1.0},
    "casting": {"cast": 3.0, "blasted": 1.0, "painted": 1.0},
    "tile": {"ceramic": 1.0},
}


def finishes_of(subject: str) -> dict[str, float]:
    """Return the finishes of a subject with their relative frequencies."""
    return _FINISHES_OF.get(subject, _METAL)


def tones_of(finish: str) -> tuple[str, ...]:
    """Return the tones of a finish; a common tone is listed more than once."""
    return _TONES_OF.get(finish, METALS)
