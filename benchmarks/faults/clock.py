"""A wall clock that can be shifted for all processes of a platform, the database's included.

libfaketime is loaded into each process and reads the shift from a file, so that running processes see a change at once.
The monotonic clock and the times of files stay those of the machine: setting a real clock does not change the monotonic
one either, and times of files are compared with each other only.
"""

import importlib.util
import shutil
import time
import urllib.request
from email.utils import parsedate_to_datetime
from pathlib import Path

import psutil
import psycopg

from mekiki.embedded import places
from mekiki.embedded.postgres import reachable_install
from mekiki.embedded.supervisor import Platform

ORIGINAL = "original"


class Clock:
    """The shift in seconds that all processes started with `environment` see, from the next look at their clock."""

    def __init__(self, folder: Path) -> None:
        package = importlib.util.find_spec("libfaketime")
        if package is None or package.origin is None:
            raise RuntimeError("libfaketime is missing: pip install libfaketime==3.0.1")
        # The database's system user cannot read a virtual environment under /root.
        self._library = folder / "libfaketime.so.1"
        shutil.copy(next(Path(package.origin).parent.rglob("libfaketime.so.1")), self._library)
        self._library.chmod(0o755)
        self._file = folder / "clock"
        self.shift(0)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a process must be started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def shift(self, seconds: int) -> None:
        """Set how far the clock is ahead of the real one; negative: behind."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{seconds:+d}\n", encoding="ascii")
        temporary.chmod(0o644)
        temporary.replace(self._file)
        self.seconds = seconds

    def load_into_database(self) -> None:
        """Have PostgreSQL see this clock, which the platform starts without our environment.

        Only for root, in mounts of its own: the copy of the programs that root's database runs from is changed.
        """
        program = reachable_install(places.system_account()) / "bin" / "postgres"
        original = program.with_name(f"{program.name}.{ORIGINAL}")
        if original.exists():
            return
        program.rename(original)
        variables = " ".join(f"{name}='{value}'" for name, value in self.environment.items())
        program.write_text(f'#!/bin/sh\nexec env {variables} "{original}" "$@"\n', encoding="utf-8")
        program.chmod(0o755)

    def seen_by(self, platform: Platform) -> dict[str, bool]:
        """Part → whether it sees the shift: database and site are asked for the time, others must have the library."""
        found = {}
        for name, pid in platform.pids().items():
            maps = Path(f"/proc/{pid}/maps").read_text(errors="replace") if psutil.pid_exists(pid) else ""
            found[name] = str(self._library) in maps
        with psycopg.connect(platform.database_url, connect_timeout=10) as connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float").fetchone()
        found["postgres"] = row is not None and self._is_shifted(row[0])
        with urllib.request.urlopen(f"{platform.url}healthz", timeout=20) as answer:
            found["web"] = self._is_shifted(parsedate_to_datetime(answer.headers["Date"]).timestamp())
        return found

    def _is_shifted(self, seconds: float) -> bool:
        return abs(seconds - time.time() - self.seconds) < 60 and self.seconds != 0
