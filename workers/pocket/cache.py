"""Training pictures drawn once and kept on disk, so that every epoch reads instead of draws."""

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from workers.pocket.pictures import TRAINING, choose, draw
from workers.pocket.pictures.captions import facts

SIDE = 160
_CHUNK = 256


def _pictures(folder: Path, count: int, mode: Literal["r", "r+", "w+"]) -> np.memmap:
    return np.memmap(folder / "pictures.u8", np.uint8, mode, shape=(count, SIDE, SIDE, 3))


def _draw_chunk(job: tuple[str, int, int, int]) -> tuple[int, list[tuple[int, int, int, int]]]:
    folder, count, seed, chunk = job
    pictures = _pictures(Path(folder), count, "r+")
    shown = []
    for index in range(chunk * _CHUNK, min(count, (chunk + 1) * _CHUNK)):
        spec = choose(np.random.default_rng([seed, index]))
        pictures[index] = draw(spec, SIDE, TRAINING)
        shown.append(facts(spec))
    pictures.flush()
    return chunk, shown


def training_pictures(
    folder: Path,
    *,
    count: int,
    seed: int,
    processes: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[np.memmap, np.ndarray]:
    """(n, 160, 160, 3) uint8 pictures and (n, 4) facts about them, drawn if they are not there yet.

    Safe to interrupt: chunks already drawn are kept. A cache of another count or seed is drawn anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    identity, record = {"count": count, "seed": seed, "side": SIDE}, folder / "cache.json"
    finished: dict[str, list] = {}
    if record.exists():
        stored = json.loads(record.read_text())
        if stored.get("identity") == identity:
            finished = stored["finished"]
    if not finished:
        _pictures(folder, count, "w+").flush()
    chunks = -(-count // _CHUNK)
    jobs = [(str(folder), count, seed, chunk) for chunk in range(chunks) if str(chunk) not in finished]
    if jobs:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            for number, (chunk, shown) in enumerate(pool.imap_unordered(_draw_chunk, jobs)):
                finished[str(chunk)] = shown
                if number % 10 == 9 or number + 1 == len(jobs):
                    record.write_text(json.dumps({"identity": identity, "finished": finished}))
                if progress:
                    progress(len(finished), chunks)
    facts_drawn = np.asarray([row for chunk in range(chunks) for row in finished[str(chunk)]], np.int64)
    return _pictures(folder, count, "r"), facts_drawn
