"""Random views of training pictures: crop, turn, flip, background, blur, light, colour and grain.

The functions are cheap, because two cores do all the work. None of them imitates a capture condition that is
held back for the evaluation: they do only what any camera may do.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from workers.pocket.cache import CELL, SIDE, Drawn
from workers.pocket.pictures import STATES, SUBJECTS

SMALLEST = 0.75  # smallest crop, as a share of the side
# A crop keeps at least this share of the damage if one of a few tries does. Otherwise the caption would be
# untrue.
MIN_DAMAGE_KEPT = 0.7
CROP_TRIES = 5
GREY, BLURRED, LIT, GRAINED = 0.2, 0.3, 0.5, 0.6  # shares of views
NEW_BACKGROUND_SHARE = 0.3  # share of the parts that get another background
SURFACE, GOOD = SUBJECTS.index("surface"), STATES.index("good")
_LUMA = np.asarray((0.3, 0.5, 0.2), np.float32)


@dataclass(frozen=True)
class Views:
    """The views of a batch.

    ``pixels`` (b, 3, s, s) float32, channels last; ``damage`` (b, 1, w, w) float32 in 0..1, the damaged share
    of each cell.
    """

    pixels: Tensor
    damage: Tensor


def tone_curves(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return (count, 3, 256) float32 lookup tables from a stored value to the network's normalised input.

    White balance, gamma, contrast and brightness are in one table per picture and channel, because a lookup
    is cheaper than a power.
    """

    def draws(low: float, high: float, channels: int = 1) -> np.ndarray:
        return rng.uniform(low, high, (count, channels, 1)).astype(np.float32)

    value = np.linspace(0, 1, 256, dtype=np.float32)[None, None, :] * draws(0.9, 1.1, 3)
    value = np.clip(value, 1e-3, 1) ** draws(0.72, 1.4)
    value = (value - 0.5) * draws(0.65, 1.35) + 0.5 + draws(-0.14, 0.14)
    return (np.clip(value, 0, 1) - 0.5) / 0.25


def _choose_crop(rng: np.random.Generator, damage: np.ndarray, window: int) -> tuple[int, int]:
    """Return where a crop of ``window`` cells begins: (row, column) in cells."""
    room = len(damage) - window + 1
    enough = MIN_DAMAGE_KEPT * float(damage.sum())
    top = left = 0
    for _ in range(CROP_TRIES):
        top, left = (int(n) for n in rng.integers(0, room, 2))
        if damage[top : top + window, left : left + window].sum() >= enough:
            break
    return top, left


def _resized(taken: np.ndarray, side: int) -> Tensor:
    """Return (b, c, side, side) uint8 from (b, h, h, c) uint8."""
    return F.interpolate(
        torch.from_numpy(taken).permute(0, 3, 1, 2), size=(side, side), mode="bilinear", antialias=True
    )


def _replace_background(
    rng: np.random.Generator, drawn: Drawn, small: np.ndarray, things: np.ndarray, which: np.ndarray
) -> None:
    """Put some objects on the surface of another picture, in place.

    The background must not predict the state of a part.
    """
    side = small.shape[1]
    good_surfaces = np.flatnonzero((drawn.shown[:, 0] == SURFACE) & (drawn.shown[:, 3] == GOOD))
    if not len(which) or not len(good_surfaces):
        return
    window = int(rng.integers(SIDE // 2, SIDE + 1))
    behind = np.stack(
        [drawn.pictures[pick, :window, :window] for pick in rng.choice(good_surfaces, len(which))]
    )
    surface = _resized(behind, side).permute(0, 2, 3, 1).numpy()
    cover = _resized(things[which][..., None], side).permute(0, 2, 3, 1).numpy().astype(np.uint16)
    mixed = small[which] * cover + surface * (255 - cover)
    small[which] = (mixed // 255).astype(np.uint8)


def _light(rng: np.random.Generator, side: int) -> np.ndarray:
    """Return (side, side, 1) light that falls off to one side and to the corners."""
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    turn, slope, corners = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4), rng.uniform(0, 0.25)
    x, y = axis[None, :], axis[:, None]
    light = (1 + slope * (np.cos(turn) * x + np.sin(turn) * y)) * (1 - corners * (x * x + y * y))
    return light.astype(np.float32)[..., None]


def crops(rng: np.random.Generator, drawn: Drawn, picks: np.ndarray, side: int) -> Views:
    """Return one view of each picked picture; one crop size per batch keeps this cheap."""
    count, cells = len(picks), SIDE // CELL
    wide = int(rng.integers(round(SMALLEST * cells), cells + 1))
    window, half = wide * CELL, wide * CELL // 2
    taken = np.empty((count, window, window, 3), np.uint8)
    things, damaged = np.empty((count, half, half), np.uint8), np.empty((count, wide, wide), np.uint8)
    for number, pick in enumerate(picks):
        where = drawn.damage[pick]
        row, column = _choose_crop(rng, where, wide)
        turns, flip = int(rng.integers(4)), slice(None, None, -1 if rng.random() < 0.5 else 1)
        for target, source, scale in (
            (taken, drawn.pictures[pick], CELL),
            (things, drawn.things[pick], CELL // 2),
            (damaged, where, 1),
        ):
            top, left, reach = row * scale, column * scale, wide * scale
            target[number] = np.rot90(source[top : top + reach, left : left + reach], turns)[:, flip]
    small = _resized(taken, side).permute(0, 2, 3, 1).contiguous().numpy()
    parts = np.flatnonzero((drawn.shown[picks, 0] != SURFACE) & (rng.random(count) < NEW_BACKGROUND_SHARE))
    _replace_background(rng, drawn, small, things, parts)
    soft = np.flatnonzero(rng.random(count) < BLURRED)
    if len(soft):
        coarse = _resized(small[soft], int(side * rng.uniform(0.5, 0.9))).permute(0, 2, 3, 1).contiguous()
        small[soft] = _resized(coarse.numpy(), side).permute(0, 2, 3, 1).numpy()
    tables, grey, lit = tone_curves(rng, count), rng.random(count) < GREY, rng.random(count) < LIT
    # In units of the normalised value.
    grain = rng.uniform(0, 0.22, count) * (rng.random(count) < GRAINED)
    field = rng.standard_normal((2 * side, side, 3), dtype=np.float32)
    views = np.empty((count, side, side, 3), np.float32)
    for number, picture in enumerate(small):
        if grey[number]:
            tone = (picture @ _LUMA).astype(np.uint8)
            views[number] = tables[number, 0][tone][..., None]
        else:
            for channel in range(3):
                views[number, ..., channel] = tables[number, channel][picture[..., channel]]
        if lit[number]:
            light = _light(rng, side)
            views[number] = (views[number] + 2) * light - 2
        if grain[number]:
            start = int(rng.integers(side))
            views[number] += np.float32(grain[number]) * field[start : start + side]
    pixels = torch.from_numpy(views).permute(0, 3, 1, 2)
    return Views(pixels, torch.from_numpy(damaged.astype(np.float32) / 255)[:, None])
