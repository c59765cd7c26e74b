"""Restore of a backup into an empty home, completely or not at all."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from gettext import gettext as _
from pathlib import Path
from typing import Any

import psycopg

from mekiki.config import env
from mekiki.config.plain import UnusableFileError, UserError
from mekiki.config.regular_files import NotRegularError, open_regular
from mekiki.embedded import identity, places
from mekiki.embedded.backup import archive, database
from mekiki.embedded.backup.making import COUNTED, counts
from mekiki.embedded.backup.progress import Progress
from mekiki.embedded.lock import HomeLock
from mekiki.embedded.roles import connecting
from mekiki.embedded.secrets import make_home
from mekiki.embedded.versions import refuse_other_versions


@dataclass(frozen=True)
class RestoreResult:
    """A home that was filled from a backup."""

    home: Path
    made_at: str
    files: int
    keys: bool


def restore(file: Path, home: Path, *, progress: Progress | None = None) -> RestoreResult:
    """Fill `home`, which must be empty or missing, from a backup.

    With DATABASE_URL the data goes into that database, which must be empty too. Raises PlainError if the
    restore failed, and leaves nothing behind. A restore that was killed leaves a home that refuses to start,
    and the next restore into that home begins again.
    """
    progress = progress or Progress()
    home = home.expanduser().resolve()
    with _opened(file) as handle:
        reader = archive.Reader(handle)
        entries = reader.entries()
        header = _read_header(next(entries), file)
        made = not home.exists()
        _check_free(home)
        external = connecting.owner_url(home, given) if (given := env.text("DATABASE_URL")) else ""
        if external and not database.is_empty(external):
            raise UserError(
                _(
                    "The database of DATABASE_URL holds tables already. Nothing was changed. Name an empty "
                    "database, or unset DATABASE_URL to restore into the embedded one."
                )
            )
        size = os.fstat(handle.fileno()).st_size
        _check_space(home, size + (0 if external else header["database"]["bytes"]))
        make_home(home)
        # Nothing is removed before this process holds the lock: another restore may be filling the home.
        with HomeLock(home):
            if identity.read(home) is not None:  # another restore filled the home while this one waited
                _check_free(home)
            (home / identity.RESTORING).touch(mode=0o600)
            try:
                _delete_restored(home)
                progress.begin(_("Files"), size)
                files = _extract(entries, home, progress)
                identity.write(home, identity.Identity.of(home, identity.new_id()))
                progress.begin(_("Database"))
                # The last step that may fail: the tables of an external database cannot be removed again.
                _load(home, header["database"]["counts"], external)
                os.sync()
                (home / identity.RESTORING).unlink()
            except BaseException:
                _delete_restored(home)
                shutil.rmtree(home / "run", ignore_errors=True)
                (home / identity.RESTORING).unlink(missing_ok=True)
                if made:
                    with contextlib.suppress(OSError):
                        home.rmdir()
                raise
    return RestoreResult(home, header["made_at"], files, "keys" in header["folders"])


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        handle = open_regular(file)
    except NotRegularError:
        raise UnusableFileError(_("%(path)s is no file.") % {"path": file}) from None
    except OSError as problem:
        raise UnusableFileError(
            _("%(path)s cannot be read: %(why)s.") % {"path": file, "why": problem.strerror}
        ) from None
    with handle:
        yield handle


def _read_header(entry: archive.Entry, file: Path) -> dict[str, Any]:
    """Return the description inside the backup.

    Raises DamagedError, NewerVersionError or OlderVersionError.
    """
    content = entry.content(archive.MAX_HEADER_BYTES)
    try:
        header = json.loads(content)
        form = int(header["format"])
        if form <= archive.FORMAT:
            header["database"]["bytes"] = max(0, int(header["database"]["bytes"]))
            steps = [(str(app), str(name)) for app, name in header["database"]["migrations"]]
            header["made_at"] = str(header["made_at"])
            header["folders"] = [str(name) for name in header["folders"]]
            dict(header["database"]["counts"])
    except (ValueError, TypeError, KeyError, RecursionError):
        raise archive.damaged_error(_("its description cannot be read")) from None
    if form > archive.FORMAT:
        raise UserError(
            _("%(file)s was made by a newer version of Mekiki. Nothing was changed. Install that version.")
            % {"file": file}
        )
    refuse_other_versions(steps, str(file))
    return dict(header)


def _check_free(home: Path) -> None:
    """Raise UnusableFileError if the home holds anything except an interrupted restore."""
    if not home.exists() or (home / identity.RESTORING).exists():
        return
    if not home.is_dir():
        raise UnusableFileError(_("%(path)s is no folder.") % {"path": home})
    if any(child.name != "lost+found" for child in home.iterdir()):
        raise UnusableFileError(
            _(
                "%(home)s is not empty. Nothing was changed. A backup is restored into an empty or new "
                "folder: choose another with --home."
            )
            % {"home": home}
        )


def _check_space(home: Path, needed: int) -> None:
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            _(
                "The restored home may take %(needed)s MB, and %(folder)s has %(free)s MB left. Nothing was "
                "written. Free some space or choose another disk."
            )
            % {"needed": needed // 10**6 + 1, "free": free // 10**6, "folder": place}
        )


def _delete_restored(home: Path) -> None:
    """Remove everything that a restore writes, and nothing else."""
    places.delete_database(home / "postgres")
    for name in (*archive.FOLDERS, "logs"):
        shutil.rmtree(home / name, ignore_errors=True)
    for name in (archive.DUMP, identity.FILE):
        (home / name).unlink(missing_ok=True)


def _extract(entries: Iterator[archive.Entry], home: Path, progress: Progress) -> int:
    """Write all entries into the home, and return the number of files."""
    count = 0
    has_dump = False
    for entry in entries:
        path = home / entry.name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise archive.twice(entry.name) from None
        with os.fdopen(handle, "wb") as out:
            entry.copy(out.write, progress.advance)
        has_dump |= entry.name == archive.DUMP
        count += entry.name != archive.DUMP
    if not has_dump:
        raise archive.damaged_error(_("the database is missing in it"))
    return count


def _load(home: Path, expected: dict[str, int], external: str) -> None:
    """Load the dump, and compare the row counts with those of the original database.

    The rows for an external database are counted in the dump before they are loaded, because a loaded
    database cannot be emptied again.
    """
    dump = home / archive.DUMP
    if external:
        _compare(database.rows_in(dump, COUNTED), expected)
        database.load(external, dump, whole=True)
    else:
        with database.own_server(home) as url:
            database.load(url, dump, whole=False)
            with psycopg.connect(url) as connection:
                _compare(counts(connection), expected)
    dump.unlink()


def _compare(rows: dict[str, int], expected: dict[str, int]) -> None:
    if rows != expected:
        raise archive.damaged_error(_("the database does not have the rows it should"))
