"""Creation of a backup: first a snapshot of the database, then the files, which are only ever added."""

import contextlib
import io
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from gettext import gettext as _
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import psycopg

from mekiki.config.plain import UnusableFileError, UserError
from mekiki.config.regular_files import open_regular
from mekiki.embedded import history, identity
from mekiki.embedded.backup import archive, database
from mekiki.embedded.backup.progress import Progress

# A file that is being written beside its final name. A killed process may leave it behind.
DRAFT = re.compile(r"\.draft-")
_ORIGINAL = re.compile(r"files/datasets/\d+/originals/[0-9a-f]{2}/([0-9a-f]{64})")

COUNTED = ("datasets_image", "review_decision", "audit_event", "exports_labelset", "accounts_user")


@dataclass
class BackupResult:
    """A backup that was created.

    `left_out` names files that could not be read, or that differ from the database.
    """

    file: Path
    bytes: int = 0
    files: int = 0
    left_out: list[str] = field(default_factory=list)


def back_up(
    home: Path, target: Path, *, keys: bool = True, models: bool = True, progress: Progress | None = None
) -> BackupResult:
    """Write the backup of a home, running or stopped, to the new file `target` (0600).

    The file is written completely or not at all. If `target` is a folder, the file gets a name with the
    current time. The database part is a snapshot that is taken after the call, and the backup holds every
    file that the snapshot names. Raises PlainError if no backup was created.
    """
    progress = progress or Progress()
    target = _free_name(target, home)
    folders = [f for f in archive.FOLDERS if (keys or f != "keys") and (models or f != "models")]
    progress.begin(_("Counting the files"))
    size = sum(state.st_size for _name, _path, state in _walk(home, folders, []))
    with database.owner_url_of_home(home) as url, psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        snapshot = _one(connection, "SELECT pg_export_snapshot()")
        header = _header(home, connection, folders)
        _check_space(target.parent, size + header["database"]["bytes"])
        made = BackupResult(target)
        with _draft(target) as file:
            writer = archive.Writer(file)
            content = json.dumps(header, ensure_ascii=True, indent=1).encode()
            writer.add(archive.HEADER, io.BytesIO(content), len(content), progress.advance)
            progress.begin(_("Database"))
            with database.dump(url, snapshot) as program:
                assert program.stdout is not None
                writer.add(archive.DUMP, program.stdout, None, progress.advance)
            progress.begin(_("Files"), size)
            _add_files(writer, home, folders, made, progress)
            _look_for_missing(connection, home, made)
            writer.finish()
            made.bytes = file.tell()
    with contextlib.suppress(OSError):
        history.record_backup(home, target)
    return made


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def row_counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the number of rows of the most important tables, which a restore compares."""
    return {table: _one(connection, f"SELECT count(*) FROM {table}") for table in COUNTED}  # noqa: S608


def _header(home: Path, connection: psycopg.Connection[Any], folders: list[str]) -> dict[str, Any]:
    known = identity.read(home)
    try:
        migrations = connection.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()
    except psycopg.errors.UndefinedTable:
        raise UserError(
            _("The database has no tables yet, so there is nothing to back up. Start “mekiki up” once.")
        ) from None
    return {
        "format": archive.FORMAT,
        "mekiki": version("mekiki"),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "home": str(home),
        "home_id": known.id if known else "",
        "folders": folders,
        "database": {
            "server": _one(connection, "SHOW server_version"),
            "bytes": _one(connection, "SELECT pg_database_size(current_database())"),
            "migrations": [list(step) for step in migrations],
            "counts": row_counts(connection),
        },
    }


def _free_name(target: Path, home: Path) -> Path:
    """Return the file to write.

    Raises UnusableFileError if it exists, or if it lies in a folder that the backup holds.
    """
    target = target.expanduser().absolute()
    if target.is_dir():
        target = target / f"mekiki-{datetime.now():%Y%m%d-%H%M%S}.tar"
    if os.path.lexists(target):
        raise UnusableFileError(
            _("%(path)s exists already and was not touched. Choose another name.") % {"path": target}
        )
    if not target.parent.is_dir():
        raise UnusableFileError(_("The folder %(path)s does not exist.") % {"path": target.parent})
    folder = target.parent.resolve()
    if any(folder.is_relative_to(home / name) for name in archive.FOLDERS):
        raise UnusableFileError(
            _("%(path)s is inside a folder that the backup contains. Choose a place outside it.")
            % {"path": target}
        )
    return folder / target.name


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            _(
                "The backup may take %(needed)s MB, and %(folder)s has %(free)s MB left. Nothing was "
                "written. Free some space or choose another disk."
            )
            % {"needed": needed // 10**6 + 1, "free": free // 10**6, "folder": folder}
        )


@contextlib.contextmanager
def _draft(target: Path) -> Iterator[Any]:
    """Open a file beside the target. It takes the target's name at the end of the block.

    After an error it is deleted.
    """
    for left in target.parent.glob(f".{glob_escape(target.name)}.*.partial"):
        number = left.name.split(".")[-2]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            left.unlink(missing_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.partial")
    handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, target)  # a link, unlike a rename, never replaces a file
        except FileExistsError:
            raise UnusableFileError(
                _("%(path)s exists already and was not touched. Choose another name.") % {"path": target}
            ) from None
        except OSError:  # a disk without hard links
            draft.rename(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)


def glob_escape(name: str) -> str:
    """Return the name as a glob pattern that matches only this name."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _walk(home: Path, folders: list[str], left_out: list[str]) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Yield (name in the backup, path, state) of each regular file.

    Other files are listed in `left_out`.
    """
    waiting = [name for name in reversed(folders) if (home / name).is_dir()]
    while waiting:
        name = waiting.pop()
        path = home / name
        try:
            state = path.lstat()
            if stat.S_ISDIR(state.st_mode):
                waiting += sorted((f"{name}/{child.name}" for child in os.scandir(path)), reverse=True)
            elif not stat.S_ISREG(state.st_mode):
                left_out.append(_("%(name)s: a link, or not a regular file") % {"name": name})
            elif not DRAFT.match(path.name):
                yield name, path, state
        except FileNotFoundError:
            continue  # an upload that was imported or deleted in the meantime
        except OSError as problem:
            left_out.append(f"{name}: {problem.strerror}")


def _add_files(
    writer: archive.Writer, home: Path, folders: list[str], made: BackupResult, progress: Progress
) -> None:
    for name, path, state in _walk(home, folders, made.left_out):
        try:
            file = open_regular(path, follow_links=False)
        except FileNotFoundError:
            continue
        except OSError as problem:
            made.left_out.append(f"{name}: {problem.strerror}")
            continue
        with file:
            digest = writer.add(name, file, state.st_size, progress.advance)
        made.files += 1
        if (original := _ORIGINAL.fullmatch(name)) and original[1] != digest:
            made.left_out.append(_("%(name)s: the file on the disk is damaged") % {"name": name})


def _look_for_missing(connection: psycopg.Connection[Any], home: Path, made: BackupResult) -> None:
    """Add each file of the snapshot that is missing on the disk to `left_out`."""
    from mekiki.datasets.models import Image
    from mekiki.datasets.storage import original_name
    from mekiki.exports.models import LabelSet

    missing = _("%(name)s: the file is missing on the disk")
    with connection.cursor(name="images") as cursor:
        cursor.execute(f"SELECT dataset_id, sha256 FROM {Image._meta.db_table}")  # noqa: S608
        for dataset, sha256 in cursor:
            name = f"files/{original_name(dataset, sha256)}"
            if not (home / name).is_file():
                made.left_out.append(missing % {"name": name})
    rows = connection.execute(f"SELECT file FROM {LabelSet._meta.db_table} WHERE file <> ''")  # noqa: S608
    made.left_out += [missing % {"name": f"files/{n}"} for (n,) in rows if not (home / "files" / n).is_file()]
