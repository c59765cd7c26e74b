"""Drawn images, identical on every machine, to calibrate and compare a quantised tower.

They are not photographs, but every layer sees the range of values it sees on photographs: smooth shading,
grain of several sizes, edges, dark and bright, grey and colour. All arithmetic is on integers (Pillow's
resampling of 8-bit images, NumPy's seeded integers), so the images are identical bit for bit.
"""

import numpy as np
from PIL import Image, ImageDraw


def probe_images(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Return drawn images (count, side, side, 3) uint8."""
    return np.stack([_one(np.random.default_rng((seed, number)), side) for number in range(count)])


def _one(rng: np.random.Generator, side: int) -> np.ndarray:
    total = np.zeros((side, side, 3), np.int64)
    weights = 0
    roughness = int(rng.integers(1, 4))  # how fast fine grain becomes weaker than coarse shading
    for octave in range(1, 9):
        cells = min(side, 2**octave)
        channels = 1 if rng.integers(0, 3) else 3
        grid = rng.integers(0, 256, (cells, cells, channels), np.uint8)
        layer = Image.fromarray(np.broadcast_to(grid, (cells, cells, 3)).copy())
        weight = max(1, 256 >> (roughness * octave // 2))
        total += weight * np.asarray(layer.resize((side, side), Image.Resampling.BICUBIC), np.int64)
        weights += weight
    pixels = total // weights
    low, high = sorted(int(value) for value in rng.integers(0, 256, 2))
    span = max(24, high - low)
    bottom, top = int(pixels.min()), int(pixels.max())
    pixels = low + (pixels - bottom) * span // max(1, top - bottom)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _number in range(int(rng.integers(0, 5))):
        box = (
            sorted(int(v) for v in rng.integers(0, side, 2)),
            sorted(int(v) for v in rng.integers(0, side, 2)),
        )
        corners = (box[0][0], box[1][0], box[0][1], box[1][1])
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        (draw.rectangle, draw.ellipse, draw.line)[int(rng.integers(0, 3))](corners, fill=colour)
    return np.asarray(image, np.uint8)
