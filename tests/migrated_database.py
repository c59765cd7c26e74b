"""The test database, migrated once for every state of the migrations.

All migrations together take some seconds of a processor. The first session that needs them writes a dump
of the migrated database to the folder for temporary files. Later sessions, and the other processes of a
parallel run, load the dump.
"""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(tempfile.gettempdir()) / f"mekiki-tests-migrated-{os.getuid()}"


def digest() -> str:
    """Return the SHA-256 of everything that the migrated database depends on."""
    files = [
        *ROOT.glob("platform/mekiki/*/migrations/*.py"),
        *ROOT.glob("platform/mekiki/embedded/roles/*.py"),
        ROOT / "platform/mekiki/config/create_models.py",
        ROOT / "platform/mekiki/audit/apps.py",
        ROOT / "requirements/dev.txt",
        Path(__file__),
    ]
    content = hashlib.sha256()
    for file in sorted(files):
        content.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()


def create() -> None:
    """Create the test database of this process, migrated, and connect Django to it."""
    from django.db import connection

    FOLDER.mkdir(mode=0o700, exist_ok=True)
    file = dump()
    with FileLock(f"{file}.lock"):
        if not file.exists():
            connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
            draft = file.with_suffix(f".{os.getpid()}")
            _run("pg_dump", "--file", str(draft), database=connection.settings_dict["NAME"])
            draft.rename(file)
            return
    _load()


def dump() -> Path:
    """Return the dump of the migrated database. The fixture `django_db_setup` creates it."""
    return FOLDER / f"{digest()}.sql"


def load_into(database: str) -> None:
    """Load the dump into an empty database of the test server."""
    _run("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--file", str(dump()), database=database)


def _load() -> None:
    from django.conf import settings
    from django.db import connection

    name = connection.creation._get_test_db_name()
    with connection.creation._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    load_into(name)
    connection.close()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name


def _run(program: str, *arguments: str, database: str) -> None:
    from mekiki.embedded.postgres import install_folder
    from tests.roles import superuser_url

    command = [str(install_folder() / "bin" / program), "--dbname", superuser_url(database), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{program}: {done.stderr}")
