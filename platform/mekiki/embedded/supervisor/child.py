"""One process under watch: when it is started again after its end, and what people read about it."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mekiki.embedded import state
from mekiki.embedded.postgres import Postgres
from mekiki.embedded.supervisor.children import Server
from mekiki.embedded.supervisor.probe import Probe
from mekiki.embedded.valkey import Valkey

# Seconds before each further start of a process that ends again and again; the last one for ever after.
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
# After this long a process counts as well, and its next end as the first.
STABLE_SECONDS = 60.0
# So many ends in a row are told with the end of the log.
LOUD = 5


@dataclass
class Child:
    """A server under watch. Its clock is monotonic; wall-clock times are for people alone."""

    name: str
    server: Server
    phase: str = state.STARTING
    started: float = 0.0  # the last start
    due: float = 0.0  # the next one, while it waits
    ends: int = 0  # in a row
    restarts: int = 0
    since: str = ""
    next_try: str = ""
    last_exit: dict[str, Any] | None = None
    probe: Probe | None = field(init=False)  # None: a process that needs not be asked

    def __post_init__(self) -> None:
        self.probe = Probe(self.server) if isinstance(self.server, Postgres | Valkey) else None

    def answers(self) -> bool:
        """Does it do its work by now? Nobody waits: one that hangs is asked again at a later look."""
        return self.probe is None or self.probe.answers()

    @property
    def title(self) -> str:
        """Its name as people read it."""
        return state.title(self.name)

    def begin(self) -> None:
        """Note that it was started just now."""
        self.phase, self.started, self.next_try = state.STARTING, time.monotonic(), ""

    def runs(self) -> None:
        """Note that it does its work from now on."""
        self.phase, self.since, self.next_try = state.RUNNING, state.now(), ""

    def ended(self, *, error: str = "", memory: bool | None = None) -> float:
        """Note its end; the seconds until it is started again. memory: whether the kernel ended it for want of memory."""
        now = time.monotonic()
        if self.phase == state.RUNNING and now - self.started >= STABLE_SECONDS:
            self.ends = 0
        self.ends += 1
        self.restarts += 1
        pause = PAUSES[min(self.ends, len(PAUSES)) - 1]
        self.phase, self.due = state.WAITING, now + pause
        self.next_try = (datetime.now(UTC) + timedelta(seconds=pause)).isoformat(timespec="seconds")
        code = None if error else self._code()
        self.last_exit = {"at": state.now(), "code": code, "error": error[:500], "memory": memory}
        return pause

    def hurry(self) -> None:
        """Start it again at once: what kept it from running may be gone."""
        if self.phase == state.WAITING:
            self.due, self.next_try = time.monotonic(), state.now()

    def record(self) -> dict[str, Any]:
        """What is written down about it."""
        return {
            "phase": self.phase,
            "pid": self.server.pid if self.phase != state.WAITING else None,
            "since": self.since if self.phase == state.RUNNING else None,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "next_try": self.next_try or None,
        }

    def _code(self) -> int | None:
        process = getattr(self.server, "process", self.server)
        return getattr(process, "returncode", None)
