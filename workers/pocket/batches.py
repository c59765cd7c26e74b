"""The batch of one training step: pictures, captions, and which caption is true of which picture."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workers.pocket.augment import SURFACE, crops
from workers.pocket.cache import Drawn
from workers.pocket.pictures import FINISH_NAMES, HELD_OUT, STATES, SUBJECTS, TONE_NAMES, Spec, states_of
from workers.pocket.pictures.captions import Caption, caption, claims_hold
from workers.pocket.tokenizer import PocketTokenizer

BATCH, SECOND_VIEWS, CAPTIONED, OPPOSED = 128, 16, 64, 16
# Parts fill less of the frame than surfaces, so their defects take longer to train.
PARTS_SHARE = 0.74
# The first part of training uses smaller pictures, because it is cheaper. A crop shows objects larger than a
# whole picture of the same side does, so training on crops of 112 pixels suits whole pictures of 128 (arXiv
# 1906.06423).
SMALL_SIDE, FULL_SIDE, SMALL_SIDE_SHARE = 96, 112, 0.65

# (subjects, states) bool: pairs that training neither affirms nor denies. Without this mask the network
# learns from every dented gear that gears are never scratched, and then misses the scratch.
HELD_OUT_MASK = np.asarray([[(subject, state) in HELD_OUT for state in STATES] for subject in SUBJECTS])


@dataclass(frozen=True)
class Batch:
    """The tensors of one training step, with p pictures, t second views and c captions.

    ``views`` (p + t, 3, s, s): the last t are second views of the first t pictures. ``damage`` (p + t, 1, w,
    w) in 0..1. ``ids`` (c, w) token ids. ``true`` and ``known`` (p, c): which caption is true of which
    picture, and for which pairs this is known. ``facts`` (p, 4) of the pictures. ``claims`` (c, 4) of the
    captions.
    """

    views: Tensor
    damage: Tensor
    ids: Tensor
    true: Tensor
    known: Tensor
    facts: Tensor
    claims: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(part.to(device, non_blocking=True) for part in vars(self).values()))


def _spec(row: np.ndarray) -> Spec:
    return Spec(SUBJECTS[row[0]], FINISH_NAMES[row[1]], TONE_NAMES[row[2]], STATES[row[3]], 0.5, 0)


def captions_of(rng: np.random.Generator, rows: np.ndarray) -> list[Caption]:
    """Return true captions of the first pictures, some of them repeated with another state.

    The other state is one that the subject can have.
    """
    captions = []
    for number, row in enumerate(rows[:CAPTIONED]):
        spec, seed = _spec(row), int(rng.integers(2**62))
        captions.append(caption(np.random.default_rng(seed), spec))
        if number < OPPOSED:
            # Never a held-out pair: training must not learn anything about it, not even that it is absent.
            others = [s for s in states_of(spec.subject, held_out=False) if s != spec.state]
            other = replace(spec, state=others[int(rng.integers(len(others)))])
            captions.append(caption(np.random.default_rng(seed), other))
    return captions


def known_pairs(claims: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return (p, c) bool from (c, 4) claims and (p, 4) facts.

    A value is False where the caption and the picture together make a held-out pair.
    """
    subject, state = claims[None, :, 0], claims[None, :, 3]
    asks_state = (state >= 0) & HELD_OUT_MASK[shown[:, 0][:, None], np.maximum(state, 0)]
    asks_subject = (subject >= 0) & HELD_OUT_MASK[np.maximum(subject, 0), shown[:, 3][:, None]]
    return ~(asks_state | asks_subject)


def draw_indices(rng: np.random.Generator, shown: np.ndarray, size: int = BATCH) -> np.ndarray:
    """Return (size,) indices of different pictures in random order."""
    is_part = shown[:, 0] != SURFACE
    parts = round(PARTS_SHARE * size)
    if is_part.sum() < parts or (~is_part).sum() < size - parts:
        return rng.choice(len(shown), size, replace=False)
    chosen = [
        rng.choice(np.flatnonzero(is_part), parts, replace=False),
        rng.choice(np.flatnonzero(~is_part), size - parts, replace=False),
    ]
    return rng.permutation(np.concatenate(chosen))


def batch_of(
    step: int, *, steps: int, seed: int, tokenizer: PocketTokenizer, drawn: Drawn, size: int = BATCH
) -> Batch:
    """Return the batch of one step; the same seed and step give the same batch.

    ``size`` is the number of pictures, at least ``SECOND_VIEWS``.
    """
    rng = np.random.default_rng([seed, 2, step])
    side = SMALL_SIDE if step < SMALL_SIDE_SHARE * steps else FULL_SIDE
    picks = draw_indices(rng, drawn.shown, size)
    rows = drawn.shown[picks]
    captions = captions_of(rng, rows)
    seen = crops(rng, drawn, np.concatenate([picks, picks[:SECOND_VIEWS]]), side)
    claims = np.asarray([c.claim for c in captions], np.int64)
    return Batch(
        views=seen.pixels.contiguous(memory_format=torch.channels_last),
        damage=seen.damage,
        ids=torch.from_numpy(tokenizer([c.text for c in captions], full=False)),
        true=torch.from_numpy(claims_hold(claims, rows).astype(np.float32)),
        known=torch.from_numpy(known_pairs(claims, rows)),
        facts=torch.from_numpy(rows),
        claims=torch.from_numpy(claims),
    )


def prefetch_batches(first: int, steps: int, **of: Any) -> Iterator[Batch]:
    """Yield the batches of the steps in order; a thread prepares the next batches during a step."""
    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[Batch]] = []
        for step in range(first, steps):
            while len(waiting) < 3 and step + len(waiting) < steps:
                waiting.append(pool.submit(batch_of, step + len(waiting), steps=steps, **of))
            yield waiting.pop(0).result()
