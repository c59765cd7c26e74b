"""Homes and platforms for the tests of the embedded servers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mekiki.embedded.supervisor import Platform

# These tests do not use the session's own servers.
EMBEDDED = {"DATABASE_URL": "", "BROKER_URL": ""}


@pytest.fixture
def new_platform(tmp_path: Path) -> Iterator[Callable[..., Platform]]:
    """Return a function that creates a Platform on a new home. All are stopped and deleted at the end."""
    platforms: list[Platform] = []

    def make(name: str = "home", *, home: Path | None = None, **options: object) -> Platform:
        options = {"env": EMBEDDED, **options}
        platform = Platform(home or tmp_path / name, quiet=True, **options)  # type: ignore[arg-type]
        platforms.append(platform)
        return platform

    yield make
    for platform in platforms:
        platform.discard()


def processes_of(home: Path) -> list[psutil.Process]:
    """Return every living process whose environment or command names the home."""
    processes = []
    for process in psutil.process_iter():
        try:
            named = process.environ().get("MEKIKI_HOME") == str(home) or str(home) in " ".join(
                process.cmdline()
            )
            if named and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
        except psutil.Error:
            continue
    return processes
