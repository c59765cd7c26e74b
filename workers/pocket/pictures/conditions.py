"""Capture conditions: everything between the object and the file.

The conditions of training are separate from unseen conditions.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from scipy.ndimage import convolve1d, gaussian_filter

from .noise import Field, clouds, smoothstep, spectral, strokes

Range = tuple[float, float]


@dataclass(frozen=True)
class Conditions:
    """Ranges from which the capture of one picture is drawn, uniformly.

    Lengths are for a picture of 128 pixels.
    """

    name: str
    exposure: Range
    gamma: Range
    blur: Range  # standard deviation, pixels
    motion: Range  # length of a straight smear, pixels
    noise: Range  # standard deviation at mid grey, share of full scale
    vignette: Range
    gradient: Range  # uneven light across the frame
    tint: Range  # size of the colour cast; the sign is warm or cold
    grey: float  # share of pictures taken by a monochrome camera
    jpeg: tuple[int, int]
    backgrounds: tuple[str, ...]
    elevation: Range  # height of the light over the surface, radians
    fill: Range  # how much of the frame a part fills
    # Share of light that a greasy spot on the camera's window absorbs. Its place never changes.
    smear: float = 0.0


TRAINING = Conditions(
    name="training",
    exposure=(0.65, 1.4),
    gamma=(0.8, 1.25),
    blur=(0.0, 0.9),
    motion=(0.0, 0.0),
    noise=(0.0, 0.045),
    vignette=(0.0, 0.3),
    gradient=(0.0, 0.3),
    tint=(-0.06, 0.06),
    grey=0.5,
    jpeg=(70, 98),
    backgrounds=("plain", "gradient", "paper", "dark", "mottled", "scored", "speckled", "chart"),
    elevation=(0.5, 1.25),
    fill=(0.62, 1.0),
)
UNSEEN = Conditions(
    name="unseen",
    exposure=(0.6, 1.5),
    gamma=(0.75, 1.35),
    blur=(0.3, 1.1),
    motion=(0.0, 2.0),
    noise=(0.02, 0.055),
    vignette=(0.2, 0.5),
    gradient=(0.1, 0.5),
    tint=(-0.13, 0.13),
    grey=0.4,
    jpeg=(45, 75),
    backgrounds=("wood", "belt", "tray", "cloth"),
    elevation=(0.35, 1.3),
    fill=(0.68, 0.95),
)


def background(rng: np.random.Generator, size: int, kind: str) -> np.ndarray:
    """Return the (size, size, 3) surface on which a part lies."""
    level = rng.uniform(0.25, 0.85)
    hue = rng.uniform(0.9, 1.1, 3).astype(np.float32)
    axis = np.linspace(0, 1, size, dtype=np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    turn = rng.uniform(0, 2 * np.pi)
    along = np.cos(turn) * columns + np.sin(turn) * rows
    field: Field = np.zeros((size, size), np.float32)
    if kind == "gradient":
        field = 0.35 * (along - along.mean())
    elif kind == "paper":
        field = 0.025 * spectral(rng, size, beta=0.6)
    elif kind == "dark":
        level = rng.uniform(0.03, 0.2)
    elif kind == "mottled":
        field = 0.06 * clouds(rng, size, 5, 4, 0.7)
        hue = rng.uniform(0.75, 1.25, 3).astype(np.float32)
    elif kind == "scored":  # a bench top with straight marks in all directions
        lines = [
            (
                [tuple(rng.uniform(0, size, 2)), tuple(rng.uniform(0, size, 2))],
                rng.uniform(0.5, 2) * size / 128,
            )
            for _ in range(int(rng.integers(4, 14)))
        ]
        field = (0.16 if rng.random() < 0.5 else -0.16) * strokes(size, lines)
    elif kind == "speckled":
        grains = spectral(rng, size, beta=0.4, low=0.02, high=rng.uniform(0.06, 0.2))
        field = 0.09 * np.sign(grains - rng.uniform(0.8, 1.6))
    elif kind == "chart":  # patches of flat colour, as of a box, a label or a chequered sheet
        count = int(rng.integers(2, 6))
        patches = rng.uniform(-0.22, 0.22, (count, count)).astype(np.float32)
        field = np.asarray(Image.fromarray(patches).resize((size, size), Image.Resampling.NEAREST))
        hue = rng.uniform(0.8, 1.2, 3).astype(np.float32)
    elif kind == "wood":
        rings = np.sin(2 * np.pi * rng.uniform(5, 12) * along + 1.2 * clouds(rng, size, 3, 2))
        field = 0.07 * rings + 0.03 * spectral(rng, size, beta=0.5, stretch=12, angle=turn + np.pi / 2)
        hue = np.asarray((1.25, 0.95, 0.65), np.float32)
    elif kind == "belt":
        level = rng.uniform(0.08, 0.3)
        field = 0.05 * np.sign(np.sin(2 * np.pi * rng.uniform(6, 14) * along)) + 0.02 * spectral(
            rng, size, beta=0.3
        )
    elif kind == "tray":
        period = rng.uniform(6, 12)
        field = 0.1 * (
            (np.sin(2 * np.pi * period * columns) > 0.75) | (np.sin(2 * np.pi * period * rows) > 0.75)
        )
        hue = np.asarray(
            rng.choice(np.asarray([(0.8, 0.95, 1.2), (0.8, 1.15, 0.85), (1.2, 1.0, 0.7)])), np.float32
        )
    elif kind == "cloth":
        weave = np.sin(2 * np.pi * 40 * columns) * np.sin(2 * np.pi * 40 * rows)
        field = 0.05 * weave + 0.05 * clouds(rng, size, 3, 3)
    return np.clip((level + field)[..., None] * hue, 0.01, 1).astype(np.float32)


def _spot(size: int) -> Field:
    """Return the greasy spot, (size, size) in 0..1, the same in every picture."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    away = np.hypot((axis[None, :] - 0.35) / 1.5, axis[:, None] + 0.4)
    ragged = clouds(np.random.default_rng(17), size, 6, 2)
    return smoothstep(0.34, 0.2, away + 0.03 * ragged)


def capture(rng: np.random.Generator, picture: np.ndarray, conditions: Conditions) -> np.ndarray:
    """Return the (s, s, 3) uint8 image that the camera stores for (s, s, 3) light in 0..1.

    Applies lens, sensor, tone curve and file compression.
    """
    size = picture.shape[0]
    unit = size / 128
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    turn = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(*conditions.gradient) * (
        np.cos(turn) * axis[None, :] + np.sin(turn) * axis[:, None]
    )
    light = light * (1 - rng.uniform(*conditions.vignette) * 0.5 * (axis[None, :] ** 2 + axis[:, None] ** 2))
    if conditions.smear:
        light = light * (1 - conditions.smear * _spot(size))
    grey = rng.random() < conditions.grey
    exposure = rng.uniform(*conditions.exposure)
    gamma = rng.uniform(*conditions.gamma)
    blur = rng.uniform(*conditions.blur) * unit
    motion_length = rng.uniform(*conditions.motion) * unit
    noise = rng.uniform(*conditions.noise)
    warm = rng.uniform(*conditions.tint)
    quality = int(rng.integers(conditions.jpeg[0], conditions.jpeg[1] + 1))
    if grey:
        weights = np.asarray((0.3, 0.5, 0.2), np.float32)
        picture = (picture @ weights)[..., None]
    else:
        picture = picture * np.asarray((1 + warm, 1 + rng.uniform(-0.3, 0.3) * warm, 1 - warm), np.float32)
    # Automatic exposure corrects only partly, so that a bright object stays bright.
    metered = (0.45 / max(float(picture.mean()), 0.03)) ** 0.4
    picture = picture * (light * np.float32(exposure * metered))[..., None]
    if blur > 0.25:
        picture = gaussian_filter(picture, (blur, blur, 0), truncate=2.5)
    if motion_length > 1.0:
        length = max(2, round(motion_length))
        picture = convolve1d(picture, np.full(length, 1 / length, np.float32), axis=int(rng.integers(2)))
    picture = np.clip(picture, 0, None) ** np.float32(gamma)
    if noise > 0.003:
        grain = rng.standard_normal(picture.shape, dtype=np.float32)
        picture = picture + np.float32(noise) * grain * (0.4 + np.sqrt(np.clip(picture, 0, 1)))
    stored = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    image = Image.fromarray(stored[..., 0] if grey else stored)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))
