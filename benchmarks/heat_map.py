"""Heat maps of the panel Why: time from the request to the map, and which method is the more faithful.

    python benchmarks/heat_map.py [--photos FOLDER] [--no-times] [--quick] [--json PATH]

Budget (issue 14): below 2 s with `pocket` on a CPU, from the request of the browser to the map, while a
training runs. A temporary platform has drawn sample pictures and real predictions. `cold` is the first map,
half a second after the panel was opened: the search worker then still loads the encoder. `training` is a map
while the worker trains one head after the other, `import` while it imports, embeds and predicts one dataset
after the other, and `computing` while a process on each core computes without pause at the priority of the
worker. `--worker-nice 0` measures without the lower priority of the worker. Every map is of another image.

With --photos (the folder of the NEU surface defects), deletion and insertion (workers/evaluation/
faithfulness.py) compare occlusion and integrated gradients, with the base `blur` that both methods use and
with the base `grey`, the mean of the image, that neither of them uses. `random` is a map of random numbers.
The check of sanity (arXiv 1810.03292) compares the map with that of a head, and of a network, with random
weights, by Spearman's correlation.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from benchmarks.harness import report  # noqa: E402
from benchmarks.review_latency import OWN, SET_UP  # noqa: E402
from mekiki.config import env  # noqa: E402
from mekiki.embedded.supervisor import Platform  # noqa: E402

LIST = """
import django; django.setup()
from mekiki.learning.models import Prediction
from mekiki.review.blinding import hidden_condition
from mekiki.datasets.models import Dataset, Image
dataset = Dataset.objects.get(slug="latency")
images = Image.objects.filter(~hidden_condition(dataset), dataset=dataset).order_by("pk")
assert Prediction.objects.filter(image__in=images).exists()
print("\\n".join(images.values_list("sha256", flat=True)[:200]))
"""
SPIN = "import numpy as np\nx = np.random.default_rng(0).random((400, 400))\nwhile True: x @ x"
LOAD = """
import django; django.setup()
import json, sys
from pathlib import Path
from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.learning.models import TrainingRun
from mekiki.learning.services import request_training
from mekiki.review import services
from mekiki.simulation.setting_up import SimulatedUsers, create_simulated_dataset
from mekiki.simulation.waiting import wait_for_jobs
from uuid import uuid4
kind, folder = sys.argv[1], Path(sys.argv[2])
admin, reviewer, viewer = (User.objects.get(username=name) for name in ("admin", "reviewer", "viewer"))
dataset = Dataset.objects.get(slug="latency")
described = json.loads((folder / "labels.json").read_text())
labels = [{"name": name, "prompts": fields["prompts"]} for name, fields in described.items()]
if kind == "training":
    ids = list(dataset.labels.values_list("pk", flat=True))
    for n in range(40):
        for one in services.next_items(dataset=dataset, user=reviewer, count=1):
            services.answer(dataset=dataset, user=reviewer, item_id=one.item.pk, lease_id=one.lease.pk,
                            kind="correct", label=ids[n % len(ids)], client_key=uuid4())
print("ready", flush=True)
n = 0
while True:
    n += 1
    if kind == "training":
        request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON, user=admin)
        wait_for_jobs(dataset, quiet=True)
    else:
        people = SimulatedUsers(admin, reviewer, viewer, {})
        create_simulated_dataset(name=f"load {n}", folder=folder / "pictures", labels=labels, batch=20,
                                 seed=n, people=people, say=lambda text: None)
    print("round", n, flush=True)
"""


class Browser:
    """A logged-in session of the platform."""

    def __init__(self, url: str, password: str) -> None:
        self.url, self.jar = (url := url.rstrip("/")), CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(self.jar))
        self.opener.open(f"{url}/accounts/login/").read()
        form = urlencode({"username": "reviewer", "password": password, "csrfmiddlewaretoken": self.token})
        self.opener.open(
            Request(f"{url}/accounts/login/", form.encode(), {"Referer": f"{url}/accounts/login/"})
        ).read()

    @property
    def token(self) -> str:
        return next(cookie.value or "" for cookie in self.jar if "csrf" in cookie.name)

    def post(self, address: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "X-CSRFToken": self.token, "Referer": self.url}
        request = Request(self.url + address, json.dumps(body).encode(), headers)
        return json.loads(self.opener.open(request).read())

    def heat_map(self, sha256: str, *, pause: float = 0.0) -> float:
        """Open a panel, wait, ask for the heat map, and return the seconds from the request to the map."""
        panel = self.post(f"/api/v1/datasets/latency/images/{sha256}/why", {})
        time.sleep(pause)
        began = time.monotonic()
        while True:
            reply = self.post(panel["heat_map_url"], {})
            if reply["state"] == "ready":
                return time.monotonic() - began
            if reply["state"] == "failed":
                raise SystemExit(reply["problem"])
            time.sleep(0.15)


def set_priority(platform: Platform, nice: int) -> None:
    """Give the Celery worker and its processes this priority. Only root can raise it."""
    pid = int((platform.home / "run" / "worker.pid").read_text().split()[0])
    worker = psutil.Process(pid)
    for process in [worker, *worker.children(recursive=True)]:
        process.nice(nice)


def measure_times(count: int, worker_nice: int) -> dict[str, float]:
    """Return the times of maps on a running platform, in milliseconds."""
    password = secrets.token_urlsafe(12)
    with tempfile.TemporaryDirectory(prefix="mekiki-heat-map-") as folder:
        pictures = Path(folder) / "pictures"
        draw = [sys.executable, "-m", "workers.pocket.sample", str(pictures), "--count", "120"]
        subprocess.run(draw, check=True, cwd=ROOT)
        with Platform(Path(folder) / "home", env=OWN, quiet=True, timeout=300) as platform:
            env = {**platform.env, "DJANGO_SETTINGS_MODULE": "mekiki.config.settings"}
            subprocess.run([sys.executable, "-c", SET_UP, str(pictures), password], env=env, check=True)
            listed = subprocess.run([sys.executable, "-c", LIST], env=env, check=True, capture_output=True)
            images = iter(listed.stdout.decode().split())
            set_priority(platform, worker_nice)
            browser = Browser(platform.url, password)
            figures = {"cold_ms": 1000 * browser.heat_map(next(images), pause=0.5)}
            times = {"idle": [1000 * browser.heat_map(next(images)) for _ in range(count)]}
            for kind in ("training", "import"):
                command = [sys.executable, "-c", LOAD, kind, str(pictures)]
                with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as load:
                    assert load.stdout is not None
                    try:
                        if load.stdout.readline().strip() != "ready":
                            raise SystemExit(f"The {kind} did not start.")
                        time.sleep(2)
                        times[kind] = [1000 * browser.heat_map(next(images)) for _ in range(count)]
                        if load.poll() is not None:
                            raise SystemExit(f"The {kind} ended before the maps.")
                    finally:
                        load.kill()
                    figures[f"{kind}_rounds"] = len(load.stdout.readlines())
            lowered = ["nice", "-n", str(worker_nice), sys.executable, "-c", SPIN]
            spinning = [subprocess.Popen(lowered) for _ in range(os.cpu_count() or 1)]
            try:
                times["computing"] = [1000 * browser.heat_map(next(images)) for _ in range(count)]
            finally:
                for process in spinning:
                    process.kill()
            platform.discard()
    for name, some in times.items():
        figures[f"{name}_p50_ms"] = statistics.median(some)
        figures[f"{name}_max_ms"] = max(some)
    return figures | {"maps": count, "worker_nice": worker_nice}


def measure_faithfulness(folder: Path, per_label: int) -> dict[str, float]:
    """Return medians of deletion and insertion over photographs, by method and base, and the sanity check."""
    import torch

    from workers.encoders import load_encoder
    from workers.encoders.heat_map import blurred, gradient_map, occlusion_map
    from workers.evaluation.faithfulness import faithfulness

    torch.set_num_threads(1)
    encoder = load_encoder("pocket", device="cpu")
    head, photographs = _head_and_photographs(encoder, folder, per_label)
    methods: dict[str, Callable[..., Any]] = {
        "occlusion_8": lambda *args: occlusion_map(*args, grid=8),
        "occlusion": lambda *args: occlusion_map(*args, grid=12),
        "gradient": gradient_map,
    }
    dice = np.random.default_rng(0)
    areas: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    for file in photographs:
        pixels = encoder.prepared(file)
        logits = head.decision_function(encoder.embed_pixels(pixels[None]))[0]
        first, second = np.argsort(-logits)[:2]
        direction = (head.weights[first] - head.weights[second]) * np.float32(head.logit_scale)
        maps = {"random": dice.normal(size=(12, 12))}
        for name, method in methods.items():
            began = time.perf_counter()
            maps[name] = method(encoder, pixels, direction).values
            spent.setdefault(name, []).append(1000 * (time.perf_counter() - began))
        bases = {
            "blur": blurred(pixels),
            "grey": np.full_like(pixels, pixels.mean((0, 1)).round().astype(np.uint8)),
        }
        for base_name, base in bases.items():
            for name, values in maps.items():
                result = faithfulness(
                    values, pixels, base, lambda images, way=direction: encoder.embed_pixels(images) @ way
                )
                areas.setdefault(f"{name}_{base_name}_deletion", []).append(result.deletion)
                areas.setdefault(f"{name}_{base_name}_insertion", []).append(result.insertion)
                areas.setdefault(f"{name}_{base_name}_gap", []).append(result.insertion - result.deletion)
    figures = {name: statistics.median(values) for name, values in areas.items()}
    figures |= {f"{name}_ms": statistics.median(values) for name, values in spent.items()}
    return figures | {"photographs": len(photographs)} | _sanity(encoder, head, photographs[::4], methods)


def _head_and_photographs(encoder: Any, folder: Path, per_label: int) -> tuple[Any, list[Path]]:
    """Return a head trained on 20 photographs of each label, and other photographs."""
    from workers.heads.train import train_head
    from workers.pocket.evaluate import CLASSES, PHOTO_SUBJECT, class_embeddings_of
    from workers.pocket.evaluate import photographs as listed

    files, names = listed(folder)
    labels, dice = sorted(set(names)), np.random.default_rng(0)
    training, others = [], []
    for label in labels:
        order = dice.permutation(np.flatnonzero(names == label))
        training += list(order[:20])
        others += list(order[20 : 20 + per_label])
    X = encoder.encode_images([files[at] for at in training]).vectors
    flaws = [CLASSES["en"].get(name, name.replace("_", " ").replace("-", " ")) for name in labels]
    T = class_embeddings_of(encoder, PHOTO_SUBJECT["en"], flaws, "en").astype(np.float32)
    y = np.searchsorted(labels, names[training])
    made = train_head(X, y, class_embeddings=T, logit_scale=encoder.logit_scale, seed=0)
    return made.head, [files[at] for at in others]


def _sanity(
    encoder: Any, head: Any, photographs: list[Path], methods: dict[str, Callable[..., Any]]
) -> dict[str, float]:
    """Return the mean Spearman correlation of maps with those of a random head and of a random network."""
    import dataclasses

    from scipy.stats import spearmanr

    from workers.pocket.model import build

    untrained = dataclasses.replace(encoder, model=build(seed=1).eval())
    dice = np.random.default_rng(1)
    figures = {}
    for name in ("occlusion", "gradient"):
        heads, networks = [], []
        for file in photographs:
            pixels = encoder.prepared(file)
            logits = head.decision_function(encoder.embed_pixels(pixels[None]))[0]
            first, second = np.argsort(-logits)[:2]
            direction = (head.weights[first] - head.weights[second]) * np.float32(head.logit_scale)
            drawn = dice.standard_normal(len(direction)).astype(np.float32)
            drawn *= np.linalg.norm(direction) / np.linalg.norm(drawn)
            own = methods[name](encoder, pixels, direction).values.ravel()
            for list_, other in ((heads, (encoder, drawn)), (networks, (untrained, direction))):
                values = methods[name](other[0], pixels, other[1]).values.ravel()
                list_.append(abs(float(spearmanr(own, values)[0])))
        figures[f"{name}_random_head_correlation"] = statistics.mean(heads)
        figures[f"{name}_random_network_correlation"] = statistics.mean(networks)
    return figures


def main() -> None:
    """Measure and print."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worker-nice", type=int, default=env.number("MEKIKI_WORKER_NICE"))
    parser.add_argument("--no-times", action="store_true", help="only compare the methods")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    figures = {} if arguments.no_times else measure_times(5 if arguments.quick else 20, arguments.worker_nice)
    figures["load_before"] = load
    if arguments.photos is not None:
        figures |= measure_faithfulness(arguments.photos, 1 if arguments.quick else 4)
    report({name: round(value, 3) for name, value in figures.items()}, arguments.json)


if __name__ == "__main__":
    main()
