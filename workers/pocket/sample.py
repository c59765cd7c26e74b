"""The sample dataset: what three inspection cameras of an imaginary plant recorded in a week.

The picture generator draws it under capture conditions that training never used. Most parts are good and the
worst defects are the rarest. Line, camera and shift affect the pictures, as they do in a real plant.
"""

import argparse
import csv
import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from workers.pocket.pictures import Conditions, Spec, draw

SIDE = 208
SEED = 7
PICTURES = "pictures"  # the folder of a sample that is imported


@dataclass(frozen=True)
class SampleLabel:
    """One class: its share of the pictures, and the guideline and prompts that the product shows."""

    name: str
    share: float
    guideline: str
    english: tuple[str, ...]
    japanese: tuple[str, ...]
    critical: bool = False


LABELS = (
    SampleLabel(
        "good",
        0.54,
        "Nothing that a customer would object to. Even marks of machining and dust are good.",
        ("a photo of a good part", "a clean metal surface with no defects", "a flawless part"),
        ("良品の写真", "欠陥のない部品", "きれいな金属表面"),
    ),
    SampleLabel(
        "scratch",
        0.15,
        "A line cut into the surface by something hard, bright or dark, straight or slightly bent.",
        ("a photo of a scratched part", "a scratch on a metal surface"),
        ("傷のある部品の写真", "金属表面の引っかき傷"),
    ),
    SampleLabel(
        "stain",
        0.12,
        "Oil, water marks or dirt lying on the surface: soft outline, no relief.",
        ("a photo of a stained part", "an oil stain on a metal surface"),
        ("汚れた部品の写真", "金属表面の油汚れ"),
    ),
    SampleLabel(
        "dent",
        0.06,
        "The surface is pressed in: light on one side, shade on the other.",
        ("a photo of a dented part", "a dent in a metal surface"),
        ("打痕のある部品の写真", "金属表面のへこみ"),
    ),
    SampleLabel(
        "rust",
        0.045,
        "Brown or dark corrosion with a rough, speckled outline.",
        ("a photo of a rusty part", "rust on a metal surface"),
        ("錆びた部品の写真", "金属表面の錆"),
    ),
    SampleLabel(
        "crack",
        0.04,
        "A thin, jagged, dark line where the metal has parted, often branching. "
        "When in doubt, call it a crack.",
        ("a photo of a cracked part", "a crack in a metal surface"),
        ("割れのある部品の写真", "金属表面の亀裂"),
        critical=True,
    ),
    SampleLabel(
        "pits",
        0.025,
        "Many small pits spread over an area.",
        ("a photo of a pitted part", "many small pits in a metal surface"),
        ("ピットのある部品の写真", "金属表面の点食"),
    ),
    SampleLabel(
        "hole",
        0.02,
        "A round dark hole where the drawing has none.",
        ("a photo of a part with an unwanted hole", "an unwanted hole in a metal surface"),
        ("余分な穴のある部品の写真", "金属表面の余分な穴"),
        critical=True,
    ),
)


@dataclass(frozen=True)
class Line:
    """A production line: the parts it produces and the cameras that photograph them."""

    name: str
    share: float
    subjects: tuple[str, ...]
    finishes: tuple[str, ...]
    tones: tuple[str, ...]
    cameras: tuple[tuple[str, float], ...]


LINES = (
    Line(
        "press-1",
        0.52,
        ("surface",),
        ("rolled", "brushed"),
        ("steel", "bright"),
        (("C1", 0.85), ("C3", 0.15)),
    ),
    Line("turning-2", 0.06, ("cap",), ("polished", "milled"), ("steel", "brass"), (("C2", 0.8), ("C1", 0.2))),
    Line("paint-3", 0.42, ("surface",), ("painted",), ("blue", "green", "white"), (("C3", 0.9), ("C2", 0.1))),
)
_BASE = Conditions(
    name="sample",
    exposure=(0.9, 1.1),
    gamma=(0.9, 1.1),
    blur=(0.3, 0.7),
    motion=(0.0, 0.0),
    noise=(0.01, 0.025),
    vignette=(0.2, 0.4),
    gradient=(0.05, 0.25),
    tint=(0.0, 0.0),
    grey=0.0,
    jpeg=(60, 75),
    backgrounds=("belt",),
    elevation=(0.55, 0.95),
    fill=(0.85, 0.97),
)
# The window of C3 is dirty in every picture. Zero-shot classification fails on this camera until a few labels
# correct it.
CAMERAS = {
    "C1": replace(_BASE, name="C1", grey=1.0, noise=(0.02, 0.04), elevation=(0.45, 0.7)),
    "C2": replace(_BASE, name="C2", tint=(0.08, 0.12), backgrounds=("belt", "tray"), vignette=(0.3, 0.5)),
    "C3": replace(
        _BASE, name="C3", tint=(-0.12, -0.08), backgrounds=("cloth", "wood"), blur=(0.4, 0.9), smear=0.22
    ),
}
# (name, share of the pictures, brightness of the hall)
SHIFTS = (
    ("day", 0.5, 1.0),
    ("evening", 0.3, 0.85),
    ("night", 0.2, 0.7),
)


@dataclass(frozen=True)
class _PlannedPicture:
    index: int
    label: str
    line: str
    camera: str
    shift: str
    spec: Spec
    conditions: Conditions

    @property
    def file(self) -> str:
        return f"{self.camera}-{self.index:05d}.jpg"


def counts(total: int) -> dict[str, int]:
    """Return the number of pictures of each label: by share, at least one, the remainder `good`."""
    numbers = {label.name: max(1, round(total * label.share)) for label in LABELS}
    numbers["good"] += total - sum(numbers.values())
    return numbers


def _plan(count: int, seed: int) -> list[_PlannedPicture]:
    rng = np.random.default_rng([seed, 3])
    labels = [name for name, number in counts(count).items() for _ in range(number)]
    plan = []
    for index, at in enumerate(rng.permutation(len(labels))):
        rng_of_picture = np.random.default_rng([seed, 4, index])
        line = LINES[int(rng_of_picture.choice(len(LINES), p=[line.share for line in LINES]))]
        names, weights = zip(*line.cameras, strict=True)
        camera = str(rng_of_picture.choice(names, p=weights))
        shift, _, light = SHIFTS[int(rng_of_picture.choice(len(SHIFTS), p=[share for _, share, _ in SHIFTS]))]
        low, high = CAMERAS[camera].exposure
        spec = Spec(
            subject=str(rng_of_picture.choice(line.subjects)),
            finish=str(rng_of_picture.choice(line.finishes)),
            tone=str(rng_of_picture.choice(line.tones)),
            state=labels[at],
            severity=float(rng_of_picture.uniform(0.75, 1.0)),
            seed=int(rng_of_picture.integers(2**62)),
        )
        conditions = replace(CAMERAS[camera], exposure=(low * light, high * light))
        plan.append(_PlannedPicture(index, labels[at], line.name, camera, shift, spec, conditions))
    return plan


def _draw_pictures(job: tuple[Path, list[_PlannedPicture]]) -> int:
    folder, shots = job
    for shot in shots:
        image = Image.fromarray(draw(shot.spec, SIDE, shot.conditions))
        if shot.conditions.grey == 1.0:
            image = image.convert("L")
        image.save(folder / PICTURES / shot.file, "JPEG", quality=88)
    return len(shots)


def _run(jobs: list[tuple[Path, list[_PlannedPicture]]]) -> Iterator[int]:
    """Draw all jobs and yield the number of pictures of each, in two processes where that is possible.

    A daemonic worker may not have child processes, and child processes cannot import a script that is read
    from stdin. If the pool breaks, the remaining jobs run in this process: drawing a job again gives the same
    files.
    """
    done = 0
    if len(jobs) > 1 and not multiprocessing.current_process().daemon:
        try:
            with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
                for drawn in pool.map(_draw_pictures, jobs):
                    done += 1
                    yield drawn
            return
        except BrokenProcessPool:
            pass
    for job in jobs[done:]:
        yield _draw_pictures(job)


def make_sample(
    folder: Path,
    *,
    count: int = 2400,
    seed: int = SEED,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw the sample dataset into ``folder``.

    - `pictures/` holds JPEG files and their `metadata.csv`, to be imported.
    - `truth.csv` maps the SHA-256 of a file to its label.
    - `labels.json` maps a label to its prompts in English and Japanese, its guideline and whether it is
      critical. It is written last.

    File names do not contain the label, because a reviewer could read it there. The same count and seed give
    the same files. ``progress(done, total)`` counts pictures. Raises ValueError if there are fewer pictures
    than labels, OSError if the folder cannot be written.
    """
    if count < len(LABELS):
        raise ValueError(f"a sample has at least {len(LABELS)} pictures, one a label")
    shots = _plan(count, seed)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    jobs = [(folder, shots[start : start + 40]) for start in range(0, len(shots), 40)]
    done = 0
    for taken in _run(jobs):
        done += taken
        if progress:
            progress(done, count)
    _write_tables(folder, shots)


def _write_tables(folder: Path, shots: Iterable[_PlannedPicture]) -> None:
    with (folder / PICTURES / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("file", "line", "camera", "shift"))
        table.writerows((shot.file, shot.line, shot.camera, shot.shift) for shot in shots)
    with (folder / "truth.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("sha256", "label"))
        for shot in shots:
            with (folder / PICTURES / shot.file).open("rb") as file:
                table.writerow((hashlib.file_digest(file, "sha256").hexdigest(), shot.label))
    described = {
        label.name: {
            "prompts": [*label.english, *label.japanese],
            "guideline": label.guideline,
            "critical": label.critical,
        }
        for label in LABELS
    }
    text = json.dumps(described, ensure_ascii=False, indent=2)
    (folder / "labels.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the sample dataset into a folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=SEED)
    chosen = parser.parse_args()
    with tqdm(total=chosen.count, unit=" pictures") as bar:
        make_sample(
            chosen.folder,
            count=chosen.count,
            seed=chosen.seed,
            progress=lambda done, _: bar.update(done - bar.n),
        )


if __name__ == "__main__":
    main()
