"""A wall clock that can be shifted for all processes of a platform, including the database.

libfaketime is loaded into each process and reads the shift from a file, so that running processes see a
change at once. The monotonic clock and the times of files do not change. Setting a real clock does not change
the monotonic clock either, and times of files are only compared with each other.
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
    """The clock shift in seconds for all processes that are started with `environment`.

    A process sees a new shift when it next reads its clock.
    """

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
        """Return the environment variables with which a process must be started."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def shift(self, seconds: int) -> None:
        """Set how many seconds the clock is ahead of the real one; negative means behind."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{seconds:+d}\n", encoding="ascii")
        temporary.chmod(0o644)
        temporary.replace(self._file)
        self.seconds = seconds

    def load_into_database(self, volume: Volume) -> None:
        """Make PostgreSQL see this clock, by a wrapper around its program.

        The platform starts the database without our environment, so the program is wrapped. This happens only
        in mounts of this process, over a copy of the programs: nothing outside this run sees it.
        """
        install = reachable_install(places.system_account())
        copy = volume.cover(install)
        program, original = copy / "bin" / "postgres", install / "bin" / "postgres.original"
        program.rename(copy / "bin" / original.name)
        variables = " ".join(f"{name}='{value}'" for name, value in self.environment.items())
        program.write_text(f'#!/bin/sh\nexec env {variables} "{original}" "$@"\n', encoding="utf-8")
        program.chmod(0o755)

    def seen_by(self, platform: Platform) -> dict[str, bool]:
        """Return for each part whether it sees the shift.

        The database is asked for its time; the other processes must have the library loaded.
        """
        seen = {}
        for name, pid in platform.pids().items():
            try:
                seen[name] = str(self._library) in Path(f"/proc/{pid}/maps").read_text(errors="replace")
            except OSError:  # the process has ended
                continue
        with psycopg.connect(platform.database_url, connect_timeout=10) as connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float").fetchone()
        seen["postgres"] = row is not None and abs(row[0] - time.time() - self.seconds) < 60
        return seen
