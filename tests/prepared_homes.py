"""Homes with a migrated database, for tests that start a platform and do not test the first start.

A first start spends several seconds of a processor on creating the database cluster and on the migrations.
The first test that needs a home creates such a cluster once, from the dump of the migrated test database
(tests/migrated_database.py). The fixture `django_db_setup` must come first. Later tests copy the files.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

from mekiki.embedded import places
from mekiki.embedded.postgres import Postgres, install_folder
from tests import migrated_database


def prepare(home: Path) -> Path:
    """Create `home` with a migrated database that has no users, and return it.

    The cluster has no password file, so the first start sets passwords of its own. Raises FileExistsError if
    the home exists.
    """
    home.mkdir(mode=0o700, parents=True)
    real, _account = places.database_folder(home / "postgres")
    copy_cluster(real)
    return home


def copy_cluster(folder: Path) -> None:
    """Copy a migrated cluster without users to `folder`, which is the place of a home's database."""
    _copy(_cluster(), folder / "data")


def _cluster() -> Path:
    """Return the folder of the cluster for the present migrations. Create it if it is missing."""
    folder = migrated_database.FOLDER / f"{migrated_database.digest()}.cluster"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            home = Path(tempfile.mkdtemp(prefix=f"mekiki-tests-{os.getpid()}-"))
            server = Postgres(home / "postgres", sync=False)
            try:
                server.start()
                _load(migrated_database.dump(), server.superuser_url)
                server.stop()
                _copy(server.folder.resolve() / "data", folder)
            finally:
                server.stop()
                places.delete_database(server.folder)
                shutil.rmtree(home, ignore_errors=True)
    return folder


def _load(dump: Path, url: str) -> None:
    program = install_folder() / "bin" / "psql"
    command = [program, "--dbname", url, "--quiet", "--set=ON_ERROR_STOP=1", "--file", dump]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"psql: {done.stderr}")


def _copy(source: Path, target: Path) -> None:
    """Copy a stopped cluster with its owner and modes. An interrupted copy leaves no incomplete cluster."""
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    subprocess.run(["cp", "--archive", "--reflink=auto", source, draft], check=True)
    draft.rename(target)
