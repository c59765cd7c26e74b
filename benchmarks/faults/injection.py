"""The faults: kills, stops, full disks, shifted clocks. Each is drawn, carried out and ended."""

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
from tests.e2e.killing import Site, until

HOUR = 3600
SHIFTS = (-24 * HOUR, -HOUR, -600, 0, 600, HOUR, 24 * HOUR)
# kind → how often it is drawn
WEIGHTS = {"kill": 12, "kill supervisor": 1, "stop": 4, "full disk": 2, "clock": 3}


@dataclass(frozen=True)
class Fault:
    """One fault as it happened, on the monotonic clock: `ended` is when nothing stood in the way any more."""

    kind: str
    what: str
    began: float
    ended: float


class Injector:
    """Draws faults for a site by a seed. `volume` None: disks are not filled; `clock` None: clocks are not shifted."""

    def __init__(self, site: Site, seed: int, volume: Volume | None, clock: Clock | None) -> None:
        self.site, self.volume, self.clock = site, volume, clock
        self._dice = random.Random(seed)
        possible = dict(WEIGHTS)
        if volume is None:
            del possible["full disk"]
        if clock is None:
            del possible["clock"]
        self._acts: dict[str, Callable[[], str]] = {
            "kill": self._kill,
            "kill supervisor": self._kill_supervisor,
            "stop": self._stop,
            "full disk": self._fill_disk,
            "clock": self._shift_clock,
        }
        # Every kind comes early, so that a short run has seen them all.
        self._order = self._draw(possible)

    def _draw(self, possible: dict[str, int]) -> Iterator[str]:
        while True:
            bag = [kind for kind, weight in possible.items() for _ in range(weight)]
            self._dice.shuffle(bag)
            yield from bag

    def next(self) -> Fault:
        """Carry out the next fault and end it."""
        kind, began = next(self._order), time.monotonic()
        what = self._acts[kind]()
        return Fault(kind, what, began, time.monotonic())

    def _part(self) -> str:
        return self._dice.choice(sorted(self.site.platform.pids()))

    def _kill(self) -> str:
        """`kill -9` of a main process or of one of its children."""
        name = until(self._part, 60, "a part runs")
        family = self.site.family(name)
        if not family:
            return f"{name} (was down)"
        victim = self._dice.choice([family[0], self._dice.choice(family)])
        with suppress(psutil.Error):
            victim.kill()
        return name if victim == family[0] else f"a child of {name}"

    def _kill_supervisor(self) -> str:
        """`kill -9` of the supervisor and at once `mekiki up` again, on the same address."""
        platform = self.site.platform
        os.kill(platform.pid, signal.SIGKILL)
        assert platform.child is not None
        platform.child.wait()
        self.site.close()
        platform.start()
        return "supervisor"

    def _stop(self) -> str:
        """SIGSTOP of a part with its children for some seconds."""
        name = until(self._part, 60, "a part runs")
        family: list[Any] = self.site.family(name)
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

    def _shift_clock(self) -> str:
        assert self.clock is not None
        seconds = self._dice.choice(SHIFTS)
        self.clock.shift(seconds)
        return f"{seconds:+d} s"
