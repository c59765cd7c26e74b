"""A wall clock that can be shifted for all processes of a platform, the database's included.

libfaketime is loaded into each process and reads the shift from a file, so that running processes see a change at once.
The monotonic clock and the times of files stay those of the machine: setting a real clock does not change the monotonic
one either, and times of files are compared with each other only.
"""

import importlib.util
import shutil
import time
from pathlib import Path

import psycopg

from benchmarks.faults.volume import Volume
from mekiki.embedded import places
from mekiki.embedded.postgres import reachable_install
from mekiki.embedded.supervisor import Platform


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

    def load_into_database(self, volume: Volume) -> None:
        """Have PostgreSQL see this clock; the platform starts it without our environment, so its program is wrapped.

        Only in mounts of our own, over a copy of the programs: nothing outside this run sees it.
        """
        install = reachable_install(places.system_account())
        copy = volume.cover(install)
        program, original = copy / "bin" / "postgres", install / "bin" / "postgres.original"
        program.rename(copy / "bin" / original.name)
        variables = " ".join(f"{name}='{value}'" for name, value in self.environment.items())
        program.write_text(f'#!/bin/sh\nexec env {variables} "{original}" "$@"\n', encoding="utf-8")
        program.chmod(0o755)

    def seen_by(self, platform: Platform) -> dict[str, bool]:
        """Part → whether it sees the shift: the database is asked for the time, others must have the library."""
        found = {}
        for name, pid in platform.pids().items():
            try:
                found[name] = str(self._library) in Path(f"/proc/{pid}/maps").read_text(errors="replace")
            except OSError:  # it has ended meanwhile
                continue
        with psycopg.connect(platform.database_url, connect_timeout=10) as connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float").fetchone()
        found["postgres"] = row is not None and abs(row[0] - time.time() - self.seconds) < 60
        return found
