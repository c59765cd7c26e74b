"""The work during the faults: reviews, imports, trainings and freezes.

All of it goes through the site or the command line.
"""

import itertools
import json
import random
import re
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mekiki.simulation.clients import HttpClient
from tests.e2e.killing import Reviewer, Site

PATIENCE = 300.0  # a client repeats one request for this many seconds
# Status codes after which the review station in a browser does not repeat a request either
# (static/mekiki/js/review/outbox.js).
REFUSALS = ("404", "409", "422")


def draw_pictures(folder: Path, count: int, seed: int) -> None:
    """Write `count` different small PNG pictures."""
    folder.mkdir(parents=True)
    dice = np.random.default_rng(seed)
    for number in range(count):
        coarse = dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 96), Image.Resampling.BILINEAR).save(
            folder / f"part-{number:05}.png"
        )


class Client(Reviewer):
    """A reviewer who logs in again when the session has ended."""

    def __init__(self, site: Site, slug: str, name: str, pace: float) -> None:
        super().__init__(site, slug, name)
        self.pace = pace
        self.name, self.logins, self.sent_again = name, 1, 0
        # (sent, acknowledged) of each answer, on the monotonic clock.
        self.times: list[tuple[float, float]] = []
        self.sent: set[str] = set()  # keys of all answers that were sent, acknowledged or not

    def insist(self, act: str, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Return the reply and the number of tries; repeat the request until it is accepted.

        Raises RuntimeError if the site refuses the request or PATIENCE has passed.
        """
        began, tries = time.monotonic(), 0
        if act == "answer":
            self.sent.add(body["client_key"])
        while True:
            tries += 1
            sent = time.monotonic()
            try:
                reply = self._post(act, body)
            except Exception as error:
                if time.monotonic() - began > PATIENCE:
                    raise
                code = re.search(r" answered (4\d\d)", str(error))
                if code and code[1] in ("401", "403"):
                    self._log_in_again()
                elif code and code[1] in REFUSALS:
                    raise
                time.sleep(0.2)
                continue
            if act == "answer":
                self.times.append((sent, time.monotonic()))
                self.sent_again += tries > 1
            return reply, tries

    def _log_in_again(self) -> None:
        with suppress(Exception):
            self.cookies.clear()
            self._log_in(self.name, self._site.passwords[self.name])
            self.logins += 1


class Acts:
    """Threads that repeatedly request imports, trainings and label sets.

    They count the acknowledged requests.
    """

    def __init__(self, site: Site, folder: Path, slugs: list[str], reviewed: str, seed: int) -> None:
        self.site, self.folder, self.slugs, self.reviewed = site, folder, slugs, reviewed
        self.pictures: dict[str, int] = dict.fromkeys(slugs, 0)
        self.jobs: list[str] = []  # ids of the imports that were acknowledged
        self.notes: list[str] = []  # of the label sets that were acknowledged
        self.trainings = self.refused = 0
        self._stop = threading.Event()
        self._dice = random.Random(seed)
        self._threads = [
            threading.Thread(target=self._repeat, args=(act, every), daemon=True)
            for act, every in ((self._import, 25.0), (self._train, 40.0), (self._freeze, 45.0))
        ]

    def __enter__(self) -> "Acts":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _repeat(self, act: Callable[[int], None], every: float) -> None:
        for number in itertools.count():
            if self._stop.wait(every * self._dice.uniform(0.5, 1.5)):
                return
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                try:
                    act(number)
                    break
                except Exception:
                    self.refused += 1
                    if self._stop.wait(2.0):
                        return

    def _import(self, number: int) -> None:
        """Import thirty new pictures from a folder by the command line.

        A repeated import of the same folder adds no image twice.
        """
        slug = self.slugs[number % len(self.slugs)]
        source = self.folder / f"{slug}-{number}"
        if not source.exists():
            draw_pictures(source, 30, seed=1000 + number)
        output = self.site._manage("import", slug, str(source), "--user", "admin", "--json")
        self.pictures[slug] += 30
        self.jobs.append(json.loads(output)["job"])

    def _train(self, _number: int) -> None:
        self._press("models/train/", {})
        self.trainings += 1

    def _freeze(self, number: int) -> None:
        note = f"number {number}"
        self._press("exports/", {"note": note})
        self.notes.append(note)

    def _press(self, page: str, fields: dict[str, str]) -> None:
        admin = HttpClient(self.site.platform.url, self.reviewed, "admin", self.site.passwords["admin"])
        token = next(cookie.value or "" for cookie in admin.cookies if cookie.name == "csrftoken")
        body = urllib.parse.urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        admin._open(f"{admin.url}/d/{self.reviewed}/{page}", body)


def verify_label_sets(site: Site, slug: str, folder: Path) -> tuple[int, int]:
    """Download every frozen label set and check it with `mekiki verify`; return (frozen, verified)."""
    versions = [
        version
        for (version,) in site.query(
            "SELECT s.version FROM exports_labelset s JOIN datasets_dataset d ON d.id = s.dataset_id"
            " WHERE d.slug = %s AND s.state = 'frozen' ORDER BY 1",
            slug,
        )
    ]
    admin = HttpClient(site.platform.url, slug, "admin", site.passwords["admin"])
    verified = 0
    for version in versions:
        file = folder / f"label-set-{version}.zip"
        file.write_bytes(admin._open(f"{admin.url}/d/{slug}/exports/{version}/download/"))
        with suppress(AssertionError, subprocess.SubprocessError):
            site._manage("verify", str(file))
            verified += 1
        file.unlink()
    return len(versions), verified
