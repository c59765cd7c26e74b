"""Labels an hour of a scripted reviewer with fixed reaction times, in the station and in the grid.

    python benchmarks/labels_per_hour.py [--images FOLDER] [--per-label N] [--seconds N] [--json PATH]

A temporary platform has the images of FOLDER (one folder a label), or drawn pictures without it. 60 labels
train the first head. Then a reviewer who is always right works in Chromium, first in the review station, then
in the grid. The reviewer looks at each image for 700 ms (station) or 250 ms for each tile (grid), and needs
200 ms for each key. In the grid the reviewer moves to a wrong image by arrow keys, presses the key of its
label, and confirms the rest. The times of the site come on top: the next image, and the enforced viewing
time. Heads are retrained on the same cores meanwhile, after each 50 labels.

`errors` counts recorded labels that differ from the truth. The truth is the folder of an image, which is
looked up by the hash of the file.
"""

import argparse
import csv
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Response, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from harness import report  # noqa: E402

from mekiki.embedded.supervisor import Platform  # noqa: E402

OWN = {"DATABASE_URL": "", "BROKER_URL": ""}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
LOOK, TILE, KEY = 0.7, 0.25, 0.2  # seconds
TILES = 24
FIRST_LABELS = 60
RETRAIN_EVERY = 50
SET_UP = """
import django; django.setup()
import json, sys, uuid
from pathlib import Path
from mekiki.datasets.models import Dataset
from mekiki.learning.models import TrainingRun
from mekiki.learning.services import request_training
from mekiki.review import services
from mekiki.simulation.setting_up import create_simulated_dataset, create_users
from mekiki.simulation.waiting import wait_for_jobs
folder, password, facts = Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text())
people = create_users()
people.reviewer.set_password(password)
people.reviewer.save()
dataset = create_simulated_dataset(name="hour", folder=folder, labels=facts["labels"], batch=300, seed=0,
                                   people=people, say=print)
label_of = {label.name: label.pk for label in dataset.labels.all()}
given = 0
while given < facts["first"]:
    leased = services.next_items(dataset=dataset, user=people.reviewer, count=5)
    for one in leased:
        services.answer(dataset=dataset, user=people.reviewer, item_id=one.item.pk, lease_id=one.lease.pk,
                        kind="correct", label=label_of[facts["truth"][one.item.image.sha256]],
                        client_key=uuid.uuid4())
        given += 1
request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON)
wait_for_jobs(dataset)
Dataset.objects.filter(pk=dataset.pk).update(retrain_every=facts["retrain_every"])
"""
ERRORS = """
import django; django.setup()
import json, sys
from pathlib import Path
from mekiki.review.models import ConfirmedLabel, Decision
truth = json.loads(Path(sys.argv[1]).read_text())["truth"]
rows = ConfirmedLabel.objects.filter(decision__milliseconds__isnull=False).values_list(
    "image__sha256", "label__name", "decision__shown")
found = {"station": [0, 0], "grid": [0, 0]}
for sha256, label, shown in rows:
    one = found["grid" if "grid" in shown else "station"]
    one[0] += 1
    one[1] += truth[sha256] != label
print(json.dumps(found))
"""


def readable(name: str) -> str:
    return re.sub(r"[-_]+", " ", name)


def hash_in(address: str) -> str:
    """Return the SHA-256 of an image in its address."""
    match = re.search(r"[0-9a-f]{64}", address)
    assert match is not None, address
    return match[0]


def labelled_folder(folder: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the labels with prompts made of the folder names, and sha256 → label."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    truth = {
        hashlib.sha256(file.read_bytes()).hexdigest(): readable(name)
        for name in names
        for file in (folder / name).iterdir()
    }
    labels = [
        {"name": readable(name), "prompts": [f"a photo of {readable(name)} on a steel surface"]}
        for name in names
    ]
    return labels, truth


def part_of(folder: Path, count: int, copy: Path) -> Path:
    """Copy the first `count` images of each label, and return the folder of the copies."""
    for label in sorted(path for path in folder.iterdir() if path.is_dir()):
        (copy / label.name).mkdir(parents=True)
        for file in sorted(label.iterdir())[:count]:
            shutil.copy(file, copy / label.name)
    return copy


def drawn_folder(folder: Path, count: int) -> tuple[Path, list[dict[str, Any]], dict[str, str]]:
    """Draw pictures; return their folder and what `labelled_folder` returns."""
    subprocess.run(
        [sys.executable, "-m", "workers.pocket.sample", str(folder), "--count", str(count)],
        check=True,
        cwd=ROOT,
    )
    described = json.loads((folder / "labels.json").read_text())
    labels = [{"name": name, "prompts": fields["prompts"]} for name, fields in described.items()]
    with (folder / "truth.csv").open(newline="", encoding="utf-8") as stream:
        truth = {row["sha256"]: row["label"] for row in csv.DictReader(stream)}
    return folder / "pictures", labels, truth


def wait(seconds: float) -> None:
    """Wait without the browser, whose own timers take part of the time."""
    time.sleep(max(0.0, seconds))


class Reviewer:
    """A scripted reviewer. `presses` counts keys."""

    def __init__(self, page: Page, truth: dict[str, str]) -> None:
        self.page, self.truth, self.presses = page, truth, 0
        self.keys: dict[str, str] = {}
        self.hashes: dict[int, str] = {}  # item on a page of the grid → hash of its image
        page.on("response", self.note_page)

    def note_page(self, response: Response) -> None:
        """Note the hashes of a page of the grid, whose thumbnails have no address."""
        if not response.ok or not response.url.endswith(("/grid/next", "/grid/answer")):
            return
        reply = response.json()
        page = reply["next"] if response.url.endswith("/grid/answer") else reply
        if page is not None:
            self.hashes |= {tile["item"]: tile["image"]["sha256"] for tile in page["tiles"]}

    def press(self, key: str) -> None:
        wait(KEY)
        self.page.keyboard.press(key)
        self.presses += 1

    def read_labels(self, selector: str) -> None:
        labels = json.loads(self.page.get_attribute(selector, "data-labels") or "[]")
        self.keys = {label["name"]: str(label["key"]) for label in labels}

    def station(self) -> int:
        """Answer the image on the screen and return 1."""
        page = self.page
        page.wait_for_selector("[data-station][data-item][data-painted]", timeout=120_000)
        wait(LOOK)
        source, item = page.evaluate(
            """() => [document.querySelector("[data-canvas] img").src,
                      document.querySelector("[data-station]").dataset.item]"""
        )
        # The key of the predicted label confirms it.
        self.press(self.keys[self.truth[hash_in(source)]])
        page.wait_for_function(
            """before => document.querySelector("[data-station]").dataset.item !== before
                  || !document.querySelector("[data-empty]").hidden""",
            arg=item,
            timeout=120_000,
        )
        return 1

    def grid(self) -> int:
        """Answer the page on the screen and return the number of its images."""
        page = self.page
        page.wait_for_function(
            """() => { const all = [...document.querySelectorAll("[role=gridcell] img")];
                       return all.length && all.every(image => image.complete); }""",
            timeout=120_000,
        )
        predicted = page.evaluate(
            "() => document.querySelector('[data-label]').selectedOptions[0].textContent"
        ).rpartition(" · ")[0]
        columns = page.get_by_role("row").first.get_by_role("gridcell").count()
        items = page.evaluate(
            "() => [...document.querySelectorAll('[role=gridcell]')].map(c => c.dataset.item)"
        )
        labels = [self.truth[self.hashes[int(item)]] for item in items]
        at = 0
        for number, label in enumerate(labels):
            wait(TILE)
            if label == predicted:
                continue
            while at // columns < number // columns and number - at >= columns:
                self.press("ArrowDown")
                at += columns
            while at != number:
                self.press("ArrowRight" if at < number else "ArrowLeft")
                at += 1 if at < number else -1
            self.press(self.keys[label])
        page.wait_for_selector("[data-grid][data-ready]", timeout=60_000)
        before = page.get_attribute("[data-grid]", "data-recorded") or ""
        self.press("Enter")
        page.wait_for_function(
            "before => (document.querySelector('[data-grid]').dataset.recorded ?? '') !== before",
            arg=before,
            timeout=120_000,
        )
        return len(labels)


def work(step: Callable[[], int], seconds: float) -> tuple[int, float]:
    """Repeat a step for about this time; return the number of labels and the seconds."""
    start, labels = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        labels += step()
    return labels, passed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, help="a folder with one folder a label")
    parser.add_argument("--per-label", type=int, default=100, help="images of each label")
    parser.add_argument("--seconds", type=float, default=180, help="of each way to review")
    parser.add_argument("--quick", action="store_true", help="20 seconds, 200 drawn pictures")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    seconds = 20.0 if given.quick else given.seconds
    password = secrets.token_urlsafe(12)
    figures: dict[str, Any] = {
        "look_ms": int(LOOK * 1000), "tile_ms": int(TILE * 1000), "key_ms": int(KEY * 1000), "tiles": TILES,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="mekiki-hour-") as temporary:
        base = Path(temporary)
        if given.images is not None and not given.quick:
            pictures = part_of(given.images, given.per_label, base / "pictures")
            labels, truth = labelled_folder(pictures)
        else:
            pictures, labels, truth = drawn_folder(base / "sample", 200 if given.quick else 1200)
        facts = base / "facts.json"
        facts.write_text(
            json.dumps(
                {"labels": labels, "truth": truth, "first": FIRST_LABELS, "retrain_every": RETRAIN_EVERY}
            )
        )
        with (
            Platform(base / "home", env=OWN, quiet=True, timeout=600) as platform,
            sync_playwright() as playwright,
        ):
            env = {**platform.env, "DJANGO_SETTINGS_MODULE": "mekiki.config.settings"}
            subprocess.run(
                [sys.executable, "-c", SET_UP, str(pictures), password, str(facts)], env=env, check=True
            )
            program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
            if program is None:
                raise SystemExit("Chromium is missing. `make chromium` installs it.")
            browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
            page = browser.new_context(
                base_url=platform.url, viewport={"width": 1600, "height": 1000}
            ).new_page()
            page.goto("/accounts/login/")
            page.fill("[name=username]", "reviewer")
            page.fill("[name=password]", password)
            page.press("[name=password]", "Enter")
            page.wait_for_url(lambda address: "login" not in address)
            reviewer = Reviewer(page, truth)
            figures["load_before"] = round(os.getloadavg()[0], 1)
            for name, address, root in (
                ("station", "/d/hour/review/", "[data-station]"),
                ("grid", "/d/hour/review/grid/", "[data-grid]"),
            ):
                page.goto(address)
                page.wait_for_selector(root)
                reviewer.read_labels(root)
                reviewer.presses = 0
                labelled, passed = work(getattr(reviewer, name), seconds)
                figures |= {
                    f"{name}_images": labelled,
                    f"{name}_seconds": round(passed, 1),
                    f"{name}_labels_per_hour": round(labelled / passed * 3600),
                    f"{name}_keys_per_image": round(reviewer.presses / max(1, labelled), 2),
                }
            browser.close()
            out = subprocess.run(
                [sys.executable, "-c", ERRORS, str(facts)],
                env=env,
                check=True,
                capture_output=True,
                text=True,
            )
            for name, (n, wrong) in json.loads(out.stdout.splitlines()[-1]).items():
                figures |= {f"{name}_recorded": n, f"{name}_errors": wrong}
            platform.discard()
    # Without any wait of the site, and with the keys that were needed.
    figures["station_labels_per_hour_at_most"] = round(3600 / (LOOK + KEY))
    report(figures, given.json)


if __name__ == "__main__":
    main()
