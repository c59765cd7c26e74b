"""Homes and platforms for the tests of the embedded servers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mekiki.embedded.supervisor import Platform
from tests import prepared_homes

# These tests do not use the session's own servers.
EMBEDDED = {"DATABASE_URL": "", "BROKER_URL": ""}
# The default, which tests/conftest.py replaces by one process each.
DEFAULT_PROCESSES = {"MEKIKI_WORKER_CONCURRENCY": "", "MEKIKI_WEB_WORKERS": ""}


@pytest.fixture
def new_platform(tmp_path: Path, django_db_setup: None) -> Iterator[Callable[..., Platform]]:
    """Return a function that creates a Platform on a new home. All are stopped and deleted at the end.

    The home has a migrated database, unless `first_start` is true.
    """
    platforms: list[Platform] = []

    def make(
        name: str = "home", *, home: Path | None = None, first_start: bool = False, **options: object
    ) -> Platform:
        options = {"env": EMBEDDED, **options}
        if home is None and not first_start:
            prepared_homes.prepare(tmp_path / name)
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
