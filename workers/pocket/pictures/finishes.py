"""How metal looks when nothing is wrong with it: one function a finish, writing heights and reflectance."""

import numpy as np

from .canvas import Canvas
from .noise import cells, clouds, spectral


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
    c.height += rng.uniform(0.35, 0.9) * rough
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


FINISHES = {
    "rolled": _rolled,
    "brushed": _brushed,
    "cast": _cast,
    "painted": _painted,
    "milled": _milled,
    "polished": _polished,
    "galvanised": _galvanised,
    "blasted": _blasted,
}

# Colours of the material, linear-ish RGB, before exposure; the range of each is widened when drawn.
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
}
METALS = ("steel", "dark", "bright", "brass", "copper")
PAINTS = ("dark", "red", "blue", "green", "yellow", "white")
