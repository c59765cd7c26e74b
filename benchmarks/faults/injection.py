"""Faults: kills, stops, full disks, read-only folders, shifted clocks.

Each fault is drawn, carried out and ended.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

from benchmarks.faults.clock import Clock
from benchmarks.faults.volume import Volume
from tests.e2e.killing import Site
from tests.waiting import until

HOUR = 3600
SHIFTS = (HOUR, -HOUR, 0, 24 * HOUR, -24 * HOUR, 0, 600, -600)
PARTS = ("web", "worker", "search", "sweeper", "beat", "postgres", "valkey")
STOPPED_PARTS = ("postgres", "valkey", "worker", "web", "sweeper")
# kind → how often it is drawn
WEIGHTS = {
    "kill": 10,
    "kill a child": 3,
    "kill supervisor": 1,
    "stop": 4,
    "full disk": 2,
    "read-only folder": 1,
    "clock": 3,
}


@dataclass(frozen=True)
class Fault:
    """One fault as it happened, on the monotonic clock; `ended` is when all obstacles were gone."""

    kind: str
    what: str
    began: float
    ended: float


class Injector:
    """Draws faults for a site by a seed.

    If `volume` is None, disks are not filled. If `clock` is None, clocks are not shifted.
    """

    def __init__(self, site: Site, seed: int, volume: Volume | None, clock: Clock | None) -> None:
        self.site, self.volume, self.clock = site, volume, clock
        self._dice = random.Random(seed)
        possible = dict(WEIGHTS)
        if volume is None:
            del possible["full disk"], possible["read-only folder"]
        if clock is None:
            del possible["clock"]
        self._acts: dict[str, Callable[[], str]] = {
            "kill": self._kill,
            "kill a child": self._kill_child,
            "kill supervisor": self._kill_supervisor,
            "stop": self._stop,
            "full disk": self._fill_disk,
            "read-only folder": self._protect_folder,
            "clock": self._shift_clock,
        }
        self._order = self._draw(possible)
        self._parts, self._stopped = self._bag(PARTS), self._bag(STOPPED_PARTS)
        self._shifts = self._bag(SHIFTS)
        self.clock_seen: dict[str, bool] = {}  # part → whether it has ever seen a shift

    def _draw(self, possible: dict[str, int]) -> Iterator[str]:
        """Yield every kind once, so that a short run includes all of them, then kinds by weight."""
        yield from self._shuffled(list(possible))
        yield from self._bag([kind for kind, weight in possible.items() for _ in range(weight)])

    def _bag(self, values: Any) -> Iterator[Any]:
        while True:
            yield from self._shuffled(list(values))

    def _shuffled(self, values: list[Any]) -> list[Any]:
        self._dice.shuffle(values)
        return values

    def next(self) -> Fault:
        """Carry out the next fault and end it."""
        kind, began = next(self._order), time.monotonic()
        what = self._acts[kind]()
        return Fault(kind, what, began, time.monotonic())

    def _family(self, name: str) -> list[psutil.Process]:
        return until(lambda: self.site.family(name), f"{name} runs")

    def _kill(self) -> str:
        """Send `kill -9` to a main process."""
        name = next(self._parts)
        with suppress(psutil.Error):
            self._family(name)[0].kill()
        return name

    def _kill_child(self) -> str:
        """Send `kill -9` to a child of a main process: a backend, a web worker, a computing process."""
        name = self._dice.choice(("postgres", "web", "worker"))
        children = self._family(name)[1:]
        if not children:
            return f"{name} (had none)"
        with suppress(psutil.Error):
            self._dice.choice(children).kill()
        return name

    def _kill_supervisor(self) -> str:
        """Send `kill -9` to the supervisor, then start `mekiki up` at once on the same address."""
        platform = self.site.platform
        os.kill(platform.pid, signal.SIGKILL)
        assert platform.child is not None
        platform.child.wait()
        self.site.close()
        platform.start()
        return "supervisor"

    def _stop(self) -> str:
        """Suspend a part and its children with SIGSTOP for some seconds."""
        name = next(self._stopped)
        family = self._family(name)
        for process in family:
            with suppress(psutil.Error):
                process.suspend()
        time.sleep(self._dice.uniform(2, 12))
        for process in family:
            with suppress(psutil.Error):
                process.resume()
        return name

    def _fill_disk(self) -> str:
        assert self.volume is not None
        try:
            written = self.volume.fill()
            time.sleep(self._dice.uniform(4, 15))
        finally:
            self.volume.free()
        return f"{written >> 20} MB"

    def _protect_folder(self) -> str:
        """Make the folder of the files read-only for some seconds."""
        assert self.volume is not None
        with self.volume.read_only(self.site.platform.home / "files"):
            time.sleep(self._dice.uniform(4, 15))
        return "files"

    def _shift_clock(self) -> str:
        """Set the clock of all processes until the next shift."""
        assert self.clock is not None
        self.clock.shift(next(self._shifts))
        if self.clock.seconds:
            with suppress(Exception):  # a stopped part sees nothing
                for name, seen in self.clock.seen_by(self.site.platform).items():
                    self.clock_seen[name] = self.clock_seen.get(name, False) or seen
        return f"{self.clock.seconds:+d} s"
