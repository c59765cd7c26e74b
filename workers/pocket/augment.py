"""Random views of training pictures: crop, turn, flip, light, colour, grain. Cheap, because two cores do everything."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workers.pocket.cache import SIDE

SMALLEST = 0.75  # of the side: the smallest crop
GREY = 0.2  # share of views without colour
_LUMA = np.asarray((0.3, 0.5, 0.2), np.float32)


def curves(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3, 256) float32: for each picture and channel what a stored value becomes, normalised for the network.

    White balance, gamma, contrast and brightness in one table: looking a byte up is cheaper than a power.
    """

    def draws(low: float, high: float, channels: int = 1) -> np.ndarray:
        return rng.uniform(low, high, (count, channels, 1)).astype(np.float32)

    value = np.linspace(0, 1, 256, dtype=np.float32)[None, None, :] * draws(0.94, 1.06, 3)
    value = np.clip(value, 1e-3, 1) ** draws(0.72, 1.4)
    value = (value - 0.5) * draws(0.65, 1.35) + 0.5 + draws(-0.14, 0.14)
    return (np.clip(value, 0, 1) - 0.5) / 0.25


def crops(rng: np.random.Generator, pictures: np.ndarray, picks: np.ndarray, side: int) -> Tensor:
    """(b, 3, side, side) float32, channels last. One crop size a batch keeps it cheap."""
    count = len(picks)
    window = int(rng.integers(round(SMALLEST * SIDE), SIDE + 1))
    taken = np.empty((count, window, window, 3), np.uint8)
    for number, pick in enumerate(picks):
        top, left = rng.integers(0, SIDE - window + 1, 2)
        view = np.rot90(pictures[pick, top : top + window, left : left + window], int(rng.integers(4)))
        taken[number] = view[:, ::-1] if rng.random() < 0.5 else view
    resized = F.interpolate(
        torch.from_numpy(taken).permute(0, 3, 1, 2), size=(side, side), mode="bilinear", antialias=True
    )
    small = resized.permute(0, 2, 3, 1).contiguous().numpy()
    tables, grey = curves(rng, count), rng.random(count) < GREY
    grain = rng.uniform(0, 0.16, count) * (rng.random(count) < 0.5)  # in units of the normalised value
    field = rng.standard_normal((2 * side, side, 3), dtype=np.float32)
    views = np.empty((count, side, side, 3), np.float32)
    for number, picture in enumerate(small):
        if grey[number]:
            tone = (picture @ _LUMA).astype(np.uint8)
            views[number] = tables[number, 0][tone][..., None]
        else:
            for channel in range(3):
                views[number, ..., channel] = tables[number, channel][picture[..., channel]]
        if grain[number]:
            start = int(rng.integers(side))
            views[number] += np.float32(grain[number]) * field[start : start + side]
    return torch.from_numpy(views).permute(0, 3, 1, 2)
