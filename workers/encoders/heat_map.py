"""Heat maps: which parts of an image change the lead of one label over another.

The lead is z_a − z_b = direction · x + constant, with x the image's embedding, because every head is a linear
map. A map has one value for each cell of a grid over the pixels that the network takes. A positive value
supports label a, a negative value label b. The unit is the unit of the lead.

Occlusion (Zeiler and Fergus, "Visualizing and understanding convolutional networks", arXiv 1311.2901,
section 4) works with every encoder: a part of the image is blurred, and the lead falls. Integrated gradients
(Sundararajan, Taly and Yan, arXiv 1703.01365) need a tower in torch: the gradient is summed along the way
from the blurred image to the image.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .decode import ImageSource, open_picture
from .errors import wrap_encoder_errors

if TYPE_CHECKING:
    from .decode import ImageSource
    from .encoder import Encoder

OCCLUSION, GRADIENT = "occlusion", "gradient"
# Sizes of the grid, the finest first. The finest whose images take less than the budget is used.
GRIDS = (12, 8, 6, 4)
# The side of the blurred part, in cells, between the middles of its soft edges (benchmarks/heat_map.py).
REACH = 1.0
# Points of the integral. More points made the maps no better (benchmarks/heat_map.py).
STEPS = 8
# A slow machine uses fewer points, down to this number, and at most TOLERANCE times the budget for them.
LEAST_STEPS, TOLERANCE = 4, 3
# Standard deviation of the blur, as a share of the image's side.
BLUR = 1 / 12
BATCH = 16
# Seconds of one part of a map. Searches wait for a part, and no map for all of its parts.
PART = 1.0
# Images in one backward pass, which keeps every layer's output: one large image, or several small ones.
GRADIENT_PIXELS = 4 * 128 * 128

Progress = Callable[[int, int], None]


# Left, top, right and bottom, as shares of the image's width and height.
View = tuple[float, float, float, float]


class TooSlowError(Exception):
    """One image takes the encoder too long for a map: `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"one image takes {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class HeatMap:
    """A map (rows, columns) float32 of changes of the lead, with the lead of the whole image and its blur."""

    values: NDArray[np.float32]
    method: str
    lead: float  # of the image
    blurred_lead: float  # of the image blurred everywhere: what the map can explain is the difference
    view: View = (0.0, 0.0, 1.0, 1.0)  # what the network sees; beyond 0 and 1 it is padding


def draw(
    encoder: Encoder,
    item: ImageSource,
    direction: NDArray[np.floating[Any]],
    *,
    seconds: float,
    progress: Progress = lambda done, total: None,
) -> HeatMap:
    """Return the map of an image: by gradients if the tower has them, otherwise by occlusion.

    Gradients gave more faithful maps in a fraction of the time (benchmarks/heat_map.py).

    Raises PictureError if the image cannot be read, and the errors of `occlusion_map`.
    """
    with open_picture(item, side=encoder.image_side) as image:
        view = view_of(encoder, image.size)
        pixels = np.array(encoder.geometry(image), np.uint8)
    if encoder.tower is None:
        made = gradient_map(encoder, pixels, direction, seconds=seconds, progress=progress)
    else:
        made = occlusion_map(encoder, pixels, direction, seconds=seconds, progress=progress)
    return replace(made, view=view)


def view_of(encoder: Encoder, size: tuple[int, int]) -> View:
    """Return which part of an image of this size (width, height) the network sees.

    The encoder's geometry may squash, crop or pad the image. So a picture whose red and green values are the
    places of its pixels goes through it, and a line is fitted to what comes out.
    """
    from PIL import Image

    shrink = min(1.0, 512 / max(size))
    w, h = (max(2, round(length * shrink)) for length in size)
    ramp = np.full((h, w, 3), 255, np.uint8)
    ramp[..., 0] = np.rint(255 * (np.arange(w) + 0.5) / w)[None, :]
    ramp[..., 1] = np.rint(255 * (np.arange(h) + 0.5) / h)[:, None]
    seen = np.array(encoder.geometry(Image.fromarray(ramp)), np.float64)
    inside = seen[..., 2] > 250  # not padding
    ends = []
    for channel, axis in ((0, 1), (1, 0)):
        values, length = seen[..., channel] / 255, seen.shape[axis]
        weights = inside.sum(1 - axis)
        places = np.flatnonzero(weights > weights.max() / 2)
        trim = len(places) // 8  # interpolation bends the ramp at its ends
        places = places[trim : len(places) - trim]
        means = np.array([np.take(values, p, axis)[np.take(inside, p, axis)].mean() for p in places])
        if len(places) < 3:  # an image of a few pixels on one side
            ends.append((0.0, 1.0))
            continue
        slope, start = np.polyfit((places + 0.5) / length, means, 1)
        ends.append((_tidy(start), _tidy(start + slope)))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def _tidy(share: float) -> float:
    """Return the share, rounded to 0 or 1 where it differs by less than the error of the fit."""
    return float(round(share)) if abs(share - round(share)) < 0.01 else round(float(share), 4)


def blurred(pixels: NDArray[np.uint8], share: float = BLUR) -> NDArray[np.uint8]:
    """Return the image (h, w, 3) uint8 blurred by a Gaussian whose deviation is this share of its side."""
    from scipy.ndimage import gaussian_filter

    deviation = share * max(pixels.shape[:2])
    return gaussian_filter(pixels, sigma=(deviation, deviation, 0), mode="nearest", truncate=3.0)


def soft_window(shape: tuple[int, int], row: float, column: float, cell: tuple[float, float]) -> NDArray[Any]:
    """Return weights (h, w) in [0, 1] of a window of REACH cells around the middle of a cell.

    The edges fall smoothly over half a cell. A hard edge would be a new feature of the image.
    """
    parts = []
    for length, place, size in ((shape[0], row, cell[0]), (shape[1], column, cell[1])):
        distance = np.abs(np.arange(length) + 0.5 - (place + 0.5) * size) / size
        parts.append(np.clip((REACH / 2 + 0.25 - distance) / 0.5, 0.0, 1.0))
    return np.outer(parts[0], parts[1]).astype(np.float32)


def occlusion_map(
    encoder: Encoder,
    pixels: NDArray[np.uint8],
    direction: NDArray[np.floating[Any]],
    *,
    seconds: float = math.inf,
    grid: int | None = None,
    progress: Progress = lambda done, total: None,
) -> HeatMap:
    """Return how much the lead falls when the surroundings of each cell are blurred.

    Args:
        encoder: any encoder.
        pixels: (h, w, 3) uint8, from `Encoder.prepared`.
        direction: (d,) the lead's change for each unit of the embedding.
        seconds: budget that chooses the grid from GRIDS, by the time of the first batch.
        grid: the number of rows and columns; chosen by the budget if None.
        progress: called with the number of images done and of all images.

    Raises:
        ValueError: pixels or direction have another shape.
        EncoderError: the network failed.
        TooSlowError: not even the coarsest grid keeps the budget.
    """
    _check(encoder, pixels, direction)
    blur = blurred(pixels)
    began = time.perf_counter()
    lead, blurred_lead = (encoder.embed_pixels(np.stack([pixels, blur])) @ direction).tolist()
    image_seconds = (time.perf_counter() - began) / 2
    n = grid or next((n for n in GRIDS if n * n * image_seconds <= seconds), None)
    if n is None:
        raise TooSlowError(image_seconds)
    h, w = pixels.shape[:2]
    cell = (h / n, w / n)
    image, base = pixels.astype(np.float32), blur.astype(np.float32)
    drop = np.empty(n * n, np.float32)
    batch = max(1, min(BATCH, int(PART / max(image_seconds, 1e-6))))
    for start in range(0, n * n, batch):
        places = range(start, min(start + batch, n * n))
        masks = np.stack([soft_window((h, w), at // n, at % n, cell) for at in places])[..., None]
        covered = np.rint(image + masks * (base - image)).astype(np.uint8)
        drop[list(places)] = lead - encoder.embed_pixels(covered) @ direction
        progress(places[-1] + 1, n * n)
    return HeatMap(drop.reshape(n, n), OCCLUSION, lead, blurred_lead)


def gradient_map(
    encoder: Encoder,
    pixels: NDArray[np.uint8],
    direction: NDArray[np.floating[Any]],
    *,
    seconds: float = math.inf,
    grid: int = GRIDS[0],
    steps: int = STEPS,
    progress: Progress = lambda done, total: None,
) -> HeatMap:
    """Return the integrated gradients of the lead from the blurred image to the image, summed by cell.

    The values add up to the difference of the two leads, but for the error of the integral.

    Args:
        encoder: an encoder whose tower runs in torch.
        pixels: (h, w, 3) uint8, from `Encoder.prepared`.
        direction: (d,) the lead's change for each unit of the embedding.
        seconds: budget, by the time of the first two images. A gradient takes about three times as long.
        grid: the number of rows and columns.
        steps: points of the integral (the middles of equal parts).
        progress: called with the number of gradients done and of all gradients.

    Raises:
        ValueError: pixels or direction have another shape, or the tower has no gradients.
        EncoderError: the network failed.
        TooSlowError: not even LEAST_STEPS gradients keep TOLERANCE times the budget.
    """
    import torch

    _check(encoder, pixels, direction)
    if encoder.tower is not None:
        raise ValueError("this encoder's tower has no gradients")
    device = encoder.device
    with wrap_encoder_errors("computing a heat map"):
        image = torch.from_numpy(pixels).to(device).float()
        base = torch.from_numpy(blurred(pixels)).to(device).float()
        way = torch.from_numpy(np.asarray(direction, np.float32)).to(device)
        began = time.perf_counter()
        with torch.inference_mode():
            lead, blurred_lead = (encoder.embed_tensor(torch.stack([image, base])) @ way).tolist()
        image_seconds = (time.perf_counter() - began) / 2
        if 3 * LEAST_STEPS * image_seconds > TOLERANCE * seconds:
            raise TooSlowError(image_seconds)
        if 3 * steps * image_seconds > seconds:
            steps = min(steps, max(LEAST_STEPS, int(seconds / (3 * image_seconds))))
        total, done = torch.zeros_like(image), 0
        shares = (torch.arange(steps, device=device) + 0.5) / steps
        with torch.enable_grad():
            for some in shares.split(max(1, GRADIENT_PIXELS // (pixels.shape[0] * pixels.shape[1]))):
                mixed = base + some[:, None, None, None] * (image - base)
                mixed.requires_grad_(True)
                (gradient,) = torch.autograd.grad((encoder.embed_tensor(mixed) @ way).sum(), mixed)
                total += gradient.sum(0)
                done += len(some)
                progress(done, steps)
        by_pixel = (total * (image - base)).sum(-1).cpu().numpy() / steps  # (h, w)
    return HeatMap(_by_cell(by_pixel, grid), GRADIENT, lead, blurred_lead)


def _by_cell(values: NDArray[Any], grid: int) -> NDArray[np.float32]:
    """Return the sums (grid, grid) of (h, w) values by cell."""
    rows = np.arange(values.shape[0]) * grid // values.shape[0]
    columns = np.arange(values.shape[1]) * grid // values.shape[1]
    sums = np.zeros((grid, grid), np.float64)
    np.add.at(sums, (rows[:, None], columns[None, :]), values)
    return sums.astype(np.float32)


def _check(encoder: Encoder, pixels: NDArray[Any], direction: NDArray[Any]) -> None:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be (h, w, 3) uint8, got {pixels.dtype} {pixels.shape}")
    if direction.shape != (encoder.dim,) or not np.isfinite(direction).all():
        raise ValueError(f"direction must be ({encoder.dim},) finite numbers, got {direction.shape}")
