"""A wall clock that can be shifted for all processes of a platform, PostgreSQL included.

libfaketime is loaded into each of them and reads the shift from a file. The monotonic clock stays as it is, as it does
when an administrator sets a real clock.
"""

import importlib.util
from pathlib import Path


class Clock:
    """The shift in seconds that all processes started with `environment` see, from the next look at their clock."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.shift(0)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a process must be started with. RuntimeError when libfaketime is not installed."""
        package = importlib.util.find_spec("libfaketime")
        if package is None or package.origin is None:
            raise RuntimeError("libfaketime is missing: pip install libfaketime==3.0.1")
        library = next(Path(package.origin).parent.rglob("libfaketime.so.1"))
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            # The times of files must be those of the machine: they are compared with each other only.
            "NO_FAKE_STAT": "1",
        }

    def shift(self, seconds: int) -> None:
        """Set how far the clock is ahead of the real one; negative: behind."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(f"{seconds:+d}\n", encoding="ascii")
        temporary.chmod(0o644)
        temporary.replace(self._file)
