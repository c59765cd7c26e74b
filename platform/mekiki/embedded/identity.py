"""Identity of a home: a moved home continues to work, a copy is refused while the original exists.

A home stores an id and the path where it was last used. A copy stores the same, so two folders with one id
are a home and its copy. For root both would even share the database, which lies outside the home.
"""

import json
import secrets
from dataclasses import asdict, dataclass
from gettext import gettext as _
from pathlib import Path

from mekiki.config.plain import PlainError
from mekiki.embedded import places

FILE = "home.json"
# The file exists while a restore writes into the home (embedded/backup/restoring.py).
RESTORING = "restore-unfinished"


class CopiedHomeError(PlainError):
    """The folder is a copy of a home that still exists.

    The message names the original and says what to do.
    """


@dataclass(frozen=True)
class Identity:
    """The id of a home, and the folder where it was last used."""

    id: str
    path: str
    device: int
    inode: int

    @classmethod
    def of(cls, home: Path, id: str) -> "Identity":
        """Return the identity of a folder in its current place on the disk."""
        state = home.stat()
        return cls(id, str(home), state.st_dev, state.st_ino)


def new_id() -> str:
    """Return an id for a new home."""
    return secrets.token_hex(16)


def read(home: Path) -> Identity | None:
    """Return the stored identity.

    Returns None for a new home, or a home of an older version.
    """
    try:
        stored = Identity(**json.loads((home / FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return stored if isinstance(stored.id, str) and isinstance(stored.path, str) else None


def write(home: Path, identity: Identity) -> None:
    """Replace the stored identity atomically (0600)."""
    draft = home / f".{FILE}"
    draft.write_text(json.dumps(asdict(identity)), encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(home / FILE)


def settle(home: Path) -> str | None:
    """Check and store the identity of the home, and return a message if the home was moved, else None.

    The caller must hold the lock of the home. The call must come before any process of an earlier run is
    ended, because the pid files of a copy name the processes of the original. Raises CopiedHomeError if the
    original exists, PlainError if a restore was interrupted here.
    """
    if (home / RESTORING).exists():
        raise PlainError(
            _(
                "A restore into %(home)s was interrupted, so the home is incomplete. Nothing was "
                "started. Run the same “mekiki restore” again: it deletes the incomplete files and "
                "starts again."
            )
            % {"home": home}
        )
    known = read(home)
    here = Identity.of(home, known.id if known else new_id())
    if known is not None:
        _refuse_copy(home, Path(known.path), known.id)
    owner = places.database_owner(home / "postgres")
    if owner is not None and owner != home / "postgres":
        _refuse_shared_database(home, owner)
    moved = known is not None and known.path != str(home) and not _same(Path(known.path), home)
    another_folder = known is None or (known.device, known.inode) != (here.device, here.inode)
    if another_folder:
        _forget_processes(home)
    places.claim_database(home / "postgres")
    if here != known:
        write(home, here)
    if known is None or not moved:
        return None
    if another_folder and owner is None and (home / "postgres" / "data" / "postmaster.pid").exists():
        return _(
            "This home was copied from %(path)s while its database was running, or after it was not stopped "
            "in order. What was being written then may be damaged: if pages report errors, restore a backup."
        ) % {"path": known.path}
    return _("This home was moved here from %(path)s.") % {"path": known.path}


def _refuse_copy(home: Path, other: Path, id: str) -> None:
    """Raise CopiedHomeError if `other` is a different folder with the same home id."""
    if other == home or _same(other, home):
        return
    try:
        twin = read(other)
    except OSError as problem:
        if isinstance(problem, NotADirectoryError):
            return
        raise CopiedHomeError(
            _(
                "This home was used at %(other)s before, and whether that folder still exists cannot be "
                "seen: %(why)s. Nothing was started and nothing was changed. Start Mekiki as a user who may "
                "read that folder, or restore a backup into a new home (mekiki restore FILE --home NEW)."
            )
            % {"other": other, "why": problem.strerror}
        ) from None
    if twin is not None and twin.id == id:
        raise CopiedHomeError(_copied(home, other))


def _refuse_shared_database(home: Path, owner: Path) -> None:
    """Raise CopiedHomeError if the database outside the home belongs to another home that still exists.

    The error is also raised if a process that was started from another folder uses the database.
    """
    folder = home / "postgres"
    if _same(owner.parent, home):
        return
    if owner.is_symlink() and owner.resolve() == folder.resolve():
        raise CopiedHomeError(_copied(home, owner.parent))
    process = places.database_process(folder)
    if process is not None:
        raise CopiedHomeError(
            _(
                "The database of this home is in use by process %(pid)s, which was started from another "
                "folder (%(owner)s). Nothing was started and nothing was changed. Stop that platform first."
            )
            % {"pid": process.pid, "owner": owner.parent}
        )


def _copied(home: Path, other: Path) -> str:
    return _(
        "%(home)s is a copy of %(other)s, which still exists. Nothing was started and nothing was "
        "changed. For a second platform with the same data: “mekiki backup FILE” on the original, "
        "then “mekiki restore FILE --home NEW”. To continue with the copy: stop the original, remove "
        "or rename its folder, and start again."
    ) % {"home": home, "other": other}


def _same(one: Path, other: Path) -> bool:
    """Return whether both paths are the same folder, through links and bind mounts."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _forget_processes(home: Path) -> None:
    """Delete the pid files of processes that were started from another folder.

    Such processes do not belong to this home, so it must not end them.
    """
    for file in (home / "run").glob("*.pid"):
        file.unlink(missing_ok=True)
