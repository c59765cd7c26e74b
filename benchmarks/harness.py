"""Shared code of the database benchmarks: a fresh platform home, and printing and storing of figures."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mekiki.embedded.postgres import Postgres

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]


@contextmanager
def fresh_platform(home: Path | None = None, *, broker_url: str = "memory://") -> Iterator[Path]:
    """Set Django up on a migrated embedded PostgreSQL with its ordinary settings; yield the home.

    The process connects as the owner, who may fill tables directly, which the application may not. ``home``
    is a folder that is kept and used again; without it the home is new and removed at the end. If the tests
    have left a migrated cluster for the present migrations, a new home starts with a copy of it.
    """
    with fresh_server(home, broker_url=broker_url) as (folder, _server):
        yield folder


@contextmanager
def fresh_server(
    home: Path | None = None, *, broker_url: str = "memory://"
) -> Iterator[tuple[Path, "Postgres"]]:
    """Do as fresh_platform, and yield the home and the database server."""
    from mekiki.embedded import places
    from mekiki.embedded.postgres import Postgres
    from tests import migrated_database, prepared_homes

    folder = home or Path(tempfile.mkdtemp(prefix="mekiki-benchmark-"))
    if home is None and migrated_database.dump().exists():
        prepared_homes.copy_cluster(places.database_folder(folder / "postgres")[0])
    server = Postgres(folder / "postgres")
    server.start()
    try:
        connect(folder, server.owner_url, broker_url=broker_url)
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        yield folder, server
        connection.close()
    finally:
        server.stop()
        if home is None:
            places.delete_database(folder / "postgres")
            shutil.rmtree(folder, ignore_errors=True)


def connect(home: Path, url: str, *, broker_url: str = "memory://") -> None:
    """Set Django up for a database, in this process and in the processes that it starts."""
    os.environ.update(
        MEKIKI_HOME=str(home),
        DATABASE_URL=url,
        BROKER_URL=broker_url,
        DJANGO_SETTINGS_MODULE="mekiki.config.settings",
        MEKIKI_LOG_LEVEL="ERROR",
        PYTHONPATH=os.pathsep.join([str(ROOT / "platform"), str(ROOT)]),
    )
    import django

    django.setup()


def report(figures: Mapping[str, Any], path: Path | None) -> None:
    """Print the figures, one per line, and write them as JSON if a path is given."""
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value:,}" if isinstance(value, int | float) else f"{name:{width}}  {value}")
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
