"""Time from the answer key until the next image is painted, in Chromium, on a running platform.

    python benchmarks/review_latency.py [--quick] [--only station|grid] [--json PATH]

Budget (design, section 9): median below 50 ms, p95 below 100 ms, over 300 answers. A temporary platform has
drawn sample pictures and real predictions, and a reviewer confirms with `Enter`. Heads are retrained on the
same cores meanwhile, as usual. The time is measured inside the page, from the key to the frame after
the next image is complete. The pause between two answers is 0.3 s: shorter than a person needs, and longer
than the 0.2 s below which the review station accepts no answer.

Then the grid review, pages of 24 tiles (budget: painted within 200 ms). `grid_first` is the time from the
start of the navigation until all tiles of the first page are painted, with a cold cache of the browser. For
the later pages, `grid_key_to_paint` is the time from the key that confirms a page, and `grid_data_to_paint`
from the reply with the next page, until its tiles are painted. The reply to the answers holds the next page.
"""

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from mekiki.embedded.supervisor import Platform  # noqa: E402

OWN = {"DATABASE_URL": "", "BROKER_URL": ""}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SET_UP = """
import django; django.setup()
import json, sys
from pathlib import Path
from mekiki.simulation.setting_up import create_users, create_simulated_dataset
people = create_users()
people.reviewer.set_password(sys.argv[2])
people.reviewer.save()
folder = Path(sys.argv[1])
described = json.loads((folder / "labels.json").read_text())
labels = [{"name": name, "prompts": fields["prompts"]} for name, fields in described.items()]
create_simulated_dataset(name="latency", folder=folder / "pictures", labels=labels, batch=400, seed=0,
                       people=people, say=print)
"""
MEASURE = """() => new Promise((resolve) => {
  const root = document.querySelector("[data-station]");
  const before = root.dataset.painted;
  const start = performance.now();
  const look = () => requestAnimationFrame(() => {
    const shown = root.dataset.painted && root.dataset.painted !== before && \
root.querySelector("[data-canvas] img")?.complete;
    if (shown) requestAnimationFrame(() => resolve(performance.now() - start));
    else look();
  });
  document.querySelector("[data-stage]")\
.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  look();
})"""


CONFIRM_PAGE = """() => new Promise((resolve) => {
  performance.clearMeasures("grid-page");
  performance.clearMeasures("grid-painted");
  const start = performance.now();
  const look = () => {
    const [page] = performance.getEntriesByName("grid-page");
    const [painted] = performance.getEntriesByName("grid-painted");
    if (page && painted) resolve([page.startTime + page.duration - start, page.duration, painted.duration]);
    else if (performance.now() - start > 20000) resolve(null);
    else requestAnimationFrame(look);
  };
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  look();
})"""


# Choose the label with the most images. False if it has not enough for a page.
LARGEST_LABEL = """() => {
  const select = document.querySelector("[data-label]");
  const waiting = option => Number(option.textContent.split("·").at(-1));
  const [first] = [...select.options].sort((a, b) => waiting(b) - waiting(a));
  if (!first || waiting(first) < 24 || first.selected) return false;
  select.value = first.value;
  select.dispatchEvent(new Event("change"));
  return true;
}"""


def measure_grid(page: Page, pages: int) -> dict[str, float | int]:
    """Return the figures of the grid review. Ends earlier if the queue is empty."""
    page.goto("/d/latency/review/grid/")
    page.wait_for_function("() => performance.getEntriesByName('grid-page').length", timeout=120_000)
    request, first = page.evaluate(
        """() => { const [one] = performance.getEntriesByName("grid-page");
                   return [one.duration, one.startTime + one.duration]; }"""
    )
    rows: list[list[float]] = []
    while len(rows) < pages:
        try:
            page.wait_for_selector("[data-grid][data-ready]", timeout=20_000)
        except PlaywrightTimeout:
            break
        if page.get_by_role("gridcell").count() < 24:
            if not page.evaluate(LARGEST_LABEL):
                break
            page.wait_for_function("document.querySelectorAll('[role=gridcell]').length === 24")
            page.wait_for_selector("[data-grid][data-ready]", timeout=20_000)
        page.wait_for_timeout(300)
        row = page.evaluate(CONFIRM_PAGE)
        if row is None:
            break
        rows.append(row)
    figures: dict[str, float | int] = {
        "grid_pages": len(rows),
        "grid_first_ms": round(first, 1),
        "grid_first_request_to_paint_ms": round(request, 1),
    }
    for name, times in zip(("key", "request", "data"), zip(*rows)):
        if name != "request":
            figures[f"grid_{name}_to_paint_p50_ms"] = round(sorted(times)[len(times) // 2], 1)
            figures[f"grid_{name}_to_paint_max_ms"] = round(max(times), 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 answers instead of 300")
    parser.add_argument("--only", choices=("station", "grid"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    answers, pictures_drawn = (20, 200) if given.quick else (300, 700)
    answers = 0 if given.only == "grid" else answers
    password = secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="mekiki-latency-") as folder:
        pictures = Path(folder) / "pictures"
        subprocess.run(
            [sys.executable, "-m", "workers.pocket.sample", str(pictures), "--count", str(pictures_drawn)],
            check=True,
            cwd=ROOT,
        )
        with (
            Platform(Path(folder) / "home", env=OWN, quiet=True, timeout=600) as platform,
            sync_playwright() as playwright,
        ):
            env = {**platform.env, "DJANGO_SETTINGS_MODULE": "mekiki.config.settings"}
            subprocess.run([sys.executable, "-c", SET_UP, str(pictures), password], env=env, check=True)
            program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
            if program is None:
                raise SystemExit("Chromium is missing. `make chromium` installs it.")
            browser = playwright.chromium.launch(executable_path=program, headless=True, args=FLAGS)
            page = browser.new_context(
                base_url=platform.url, viewport={"width": 1280, "height": 860}
            ).new_page()
            page.goto("/accounts/login/")
            page.fill("[name=username]", "reviewer")
            page.fill("[name=password]", password)
            page.press("[name=password]", "Enter")
            page.wait_for_url(lambda address: "login" not in address)
            page.goto("/d/latency/review/")
            page.wait_for_selector("[data-station][data-item] [data-canvas] img")
            times: list[float] = []
            load = os.getloadavg()[0]
            while len(times) < answers:
                # The queue can be empty for a moment, until a refill has chosen the next images.
                page.wait_for_selector("[data-station][data-item][data-painted]", timeout=120_000)
                page.wait_for_timeout(300)
                # A blind question is answered but not measured.
                if page.locator("[data-act=confirm]").is_hidden():
                    page.keyboard.press("1")
                    continue
                times.append(page.evaluate(MEASURE))
            pages = 3 if given.quick else 12
            grid = measure_grid(page, pages) if given.only != "station" else {}
            browser.close()
            platform.discard()
    times.sort()
    result: dict[str, Any] = {"answers": len(times), "browser": Path(program).name}
    result["load_before"] = round(load, 1)
    if times:
        result["key_to_paint_p50_ms"] = round(times[len(times) // 2], 1)
        result["key_to_paint_p95_ms"] = round(times[int(len(times) * 0.95)], 1)
    result |= grid
    for name, value in result.items():
        print(f"{name:22} {value}")
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
