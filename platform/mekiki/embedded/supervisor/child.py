"""One child process of the supervisor: its restarts, and its record for people."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mekiki.embedded import state
from mekiki.embedded.postgres import Postgres
from mekiki.embedded.supervisor.children import Server
from mekiki.embedded.supervisor.probe import Probe
from mekiki.embedded.valkey import Valkey

# Seconds before each restart of a process that ends repeatedly. The last value applies to all further
# restarts.
RESTART_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
# A process that ran for this long is healthy. Its next end counts as the first end.
STABLE_SECONDS = 60.0
# After this many ends in a row, the message contains the end of the log.
REPORT_LOG_AFTER_EXITS = 5


@dataclass
class Child:
    """A server that the supervisor watches.

    Intervals use the monotonic clock. Wall-clock times are only shown to people.
    """

    name: str
    server: Server
    phase: str = state.STARTING
    started: float = 0.0  # time of the last start (monotonic)
    next_start: float = 0.0  # time of the next start (monotonic), while the child waits
    consecutive_exits: int = 0  # number of ends in a row
    restarts: int = 0
    since: str = ""
    next_try: str = ""
    last_exit: dict[str, Any] | None = None
    probe: Probe | None = field(init=False)  # None for a process without a check of its responses

    def __post_init__(self) -> None:
        self.probe = Probe(self.server) if isinstance(self.server, Postgres | Valkey) else None

    def answers(self) -> bool:
        """Return whether the server responds.

        The check does not wait. A server that hangs is asked again at a later check.
        """
        return self.probe is None or self.probe.answers()

    @property
    def title(self) -> str:
        """Return the name of the process for people."""
        return state.title(self.name)

    def begin(self) -> None:
        """Record that the process starts now."""
        self.phase, self.started, self.next_try = state.STARTING, time.monotonic(), ""

    def runs(self) -> None:
        """Record that the process does its work from now on."""
        self.phase, self.since, self.next_try = state.RUNNING, state.now(), ""

    def ended(self, *, error: str = "", memory: bool | None = None) -> float:
        """Record the end of the process and return the seconds until its restart.

        `memory` is whether the kernel killed it for lack of memory.
        """
        now = time.monotonic()
        if self.phase == state.RUNNING and now - self.started >= STABLE_SECONDS:
            self.consecutive_exits = 0
        self.consecutive_exits += 1
        self.restarts += 1
        pause = RESTART_DELAYS[min(self.consecutive_exits, len(RESTART_DELAYS)) - 1]
        self.phase, self.next_start = state.WAITING, now + pause
        self.next_try = (datetime.now(UTC) + timedelta(seconds=pause)).isoformat(timespec="seconds")
        code = None if error else self._code()
        self.last_exit = {"at": state.now(), "code": code, "error": error[:500], "memory": memory}
        return pause

    def make_due(self) -> None:
        """Make a waiting child due now, because the cause of its failure may be gone."""
        if self.phase == state.WAITING:
            self.next_start, self.next_try = time.monotonic(), state.now()

    def record(self) -> dict[str, Any]:
        """Return the record of the child for the state file."""
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
