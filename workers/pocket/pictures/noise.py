"""Random fields, from which textures are built, and thin strokes with soft edges."""

import numpy as np
from PIL import Image, ImageDraw

Field = np.ndarray  # (h, w) float32


def standard(field: Field) -> Field:
    """Return the field with mean 0 and standard deviation 1."""
    field = field - field.mean()
    return field / (field.std() + 1e-6)


def spectral(
    rng: np.random.Generator,
    size: int,
    *,
    beta: float = 1.5,
    stretch: float = 1.0,
    angle: float = 0.0,
    low: float = 0.0,
    high: float = 0.5,
) -> Field:
    """Return a (size, size) Gaussian field with a power-law spectrum, mean 0, standard deviation 1.

    ``beta`` is the exponent by which power falls with frequency. Features are ``stretch`` times longer along
    ``angle`` (radians) than across. ``low`` and ``high`` limit the band, in cycles per pixel.
    """
    fy = np.fft.fftfreq(size).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(size).astype(np.float32)[None, :]
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = (fx * cos + fy * sin) * np.float32(stretch), fy * cos - fx * sin
    squared = along * along + across * across
    squared[0, 0] = 1.0
    gain = squared ** np.float32(-beta / 2)
    gain[0, 0] = 0.0
    if low > 0:
        gain *= squared > low * low
    if high < 0.5:
        gain *= np.exp(-squared / np.float32(2 * high * high))
    spectrum = np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32))
    return standard(np.fft.irfft2(spectrum * gain, s=(size, size)).astype(np.float32))


def clouds(rng: np.random.Generator, size: int, cells: float, octaves: int = 3, gain: float = 0.5) -> Field:
    """Return (size, size) smooth blotches, about ``cells`` across, mean 0, standard deviation 1; cheap."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        count = max(2, min(size, int(cells * 2**octave) + 1))
        grid = Image.fromarray(rng.standard_normal((count, count), dtype=np.float32))
        total += np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC)) * np.float32(gain**octave)
    return standard(total)


def smoothstep(low: float, high: float, x: Field) -> Field:
    """Return 0 below ``low``, 1 above ``high`` and a smooth slope between; ``low`` may be the larger."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def strokes(size: int, lines: list[tuple[list[tuple[float, float]], float]]) -> Field:
    """Return antialiased polylines, (size, size) in 0..1.

    Lines are (x, y) pixels with a width in pixels. Antialiasing is 3× oversampling.
    """
    scale = 3
    canvas = Image.new("L", (size * scale, size * scale), 0)
    pen = ImageDraw.Draw(canvas)
    for points, width in lines:
        scaled = [(x * scale, y * scale) for x, y in points]
        pen.line(scaled, fill=255, width=max(1, round(width * scale)), joint="curve")
    small = canvas.reduce(scale)
    return np.asarray(small, np.float32) / 255


def cells(rng: np.random.Generator, size: int, count: int, warp: float = 0.0) -> tuple[Field, Field]:
    """Return random polygonal cells: the index of the cell and the distance from the nearest border.

    Both fields are (size, size). The distance is 0 on the border and measured in cell widths.
    """
    small = 72
    sites = rng.random((count, 2), dtype=np.float32)
    axis = (np.arange(small, dtype=np.float32) + 0.5) / small
    y, x = np.meshgrid(axis, axis, indexing="ij")
    if warp:
        x = x + warp * clouds(rng, small, 6, 2)
        y = y + warp * clouds(rng, small, 6, 2)
    best = np.full((small, small), 9.0, np.float32)
    second = best.copy()
    index = np.zeros((small, small), np.uint8)
    for number, (sx, sy) in enumerate(sites):
        distance = (x - sx) ** 2 + (y - sy) ** 2
        closer = distance < best
        np.minimum(second, np.where(closer, best, distance), out=second)
        index[closer] = number
        np.minimum(best, distance, out=best)
    border = (np.sqrt(second) - np.sqrt(best)) * np.float32(np.sqrt(count))
    big = Image.fromarray(border).resize((size, size), Image.Resampling.BICUBIC)
    which = Image.fromarray(index).resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(which).astype(np.int64), np.asarray(big)
