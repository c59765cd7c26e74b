"""Training pictures that are drawn once and stored on disk, so that every epoch only reads them."""

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from workers.pocket.pictures import TRAINING, choose, draw_with_masks
from workers.pocket.pictures.captions import facts
from workers.pocket.pictures.maker import generator_digest

SIDE = 160
CELL = 4  # side of a damage cell, pixels
_CHUNK = 256
_SHAPES = {
    "pictures": (SIDE, SIDE, 3),
    "things": (SIDE // 2, SIDE // 2),
    "damage": (SIDE // CELL, SIDE // CELL),
}


@dataclass(frozen=True)
class Drawn:
    """Training pictures and their known facts; uint8 except the facts.

    ``pictures`` (n, 160, 160, 3); ``things`` (n, 80, 80), the share of the object in each pixel; ``damage``
    (n, 40, 40), the share of damage in each cell; ``shown`` (n, 4) int64, the facts.
    """

    pictures: np.ndarray
    things: np.ndarray
    damage: np.ndarray
    shown: np.ndarray


def _files(folder: Path, count: int, mode: Literal["r", "r+", "w+"]) -> dict[str, np.memmap]:
    return {
        name: np.memmap(folder / f"{name}.u8", np.uint8, mode, shape=(count, *shape))
        for name, shape in _SHAPES.items()
    }


def _block_mean(field: np.ndarray, by: int) -> np.ndarray:
    """Return (s / by, s / by) uint8 block means of an (s, s) field in 0..1."""
    side = len(field) // by
    return (field.reshape(side, by, side, by).mean((1, 3)) * 255).astype(np.uint8)


def _draw_chunk(job: tuple[str, int, int, int]) -> tuple[int, list[tuple[int, int, int, int]]]:
    folder, count, seed, chunk = job
    files = _files(Path(folder), count, "r+")
    shown = []
    for index in range(chunk * _CHUNK, min(count, (chunk + 1) * _CHUNK)):
        spec = choose(np.random.default_rng([seed, index]))
        drawing = draw_with_masks(spec, SIDE, TRAINING)
        files["pictures"][index] = drawing.picture
        files["things"][index] = _block_mean(drawing.thing, 2)
        files["damage"][index] = _block_mean(drawing.damage, CELL)
        shown.append(facts(spec))
    for file in files.values():
        file.flush()
    return chunk, shown


def training_pictures(
    folder: Path,
    *,
    count: int,
    seed: int,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Drawn:
    """Return the pictures of a seed; draw them if they are not stored yet.

    The function may be interrupted: finished chunks are recorded after every ten and kept. A cache of another
    count, seed or picture generator is drawn again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    identity = {"count": count, "seed": seed, "maker": generator_digest(), "shapes": repr(_SHAPES)}
    record = folder / "cache.json"
    draft = record.with_suffix(".draft")
    finished: dict[str, list] = {}
    if record.exists():
        stored = json.loads(record.read_text())
        if stored.get("identity") == identity:
            finished = stored["finished"]
    if not finished:
        record.unlink(missing_ok=True)  # it describes pictures that are overwritten now
        for file in _files(folder, count, "w+").values():
            file.flush()
    chunks = -(-count // _CHUNK)
    jobs = [(str(folder), count, seed, chunk) for chunk in range(chunks) if str(chunk) not in finished]
    if jobs:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for number, (chunk, shown) in enumerate(pool.imap_unordered(_draw_chunk, jobs)):
                finished[str(chunk)] = shown
                if number % 10 == 9 or number + 1 == len(jobs):
                    draft.write_text(json.dumps({"identity": identity, "finished": finished}))
                    draft.replace(record)
                if progress:
                    progress(len(finished), chunks)
    facts_drawn = np.asarray([row for chunk in range(chunks) for row in finished[str(chunk)]], np.int64)
    return Drawn(**_files(folder, count, "r"), shown=facts_drawn)
