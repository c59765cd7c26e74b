"""Where the embedded servers keep their data and sockets.

Two facts shape this. A unix socket's path has about 100 bytes, and a home may lie anywhere: so sockets go
into a short private folder when the home's own path is long or unusual. And PostgreSQL refuses to run as
root: so for root its data lies outside the home, owned by a system user, and the home holds a link. The
home and its parents keep their modes: nothing is opened up for that user.
"""

import contextlib
import hashlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import psutil

from mekiki.config.plain import PlainError
from mekiki.embedded.process import Account

SYSTEM_USER = "pgserver"
# Beside a database outside its home: the home it belongs to.
OWNER = "belongs-to"
# The longest name put into a socket folder is `.s.PGSQL.5432.lock`; sun_path holds 104 bytes on macOS.
SOCKET_FOLDER_BYTES = 80
# Separators of PostgreSQL's lists and of URLs stay out of socket paths.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.@+-]+")
SHARED_PLACES = (Path("/var/lib/mekiki"), Path("/var/tmp/mekiki"))  # noqa: S108


class PlaceError(PlainError):
    """A folder cannot be used; the message says which, why, and what to do."""


def private_folder(folder: Path, account: Account) -> Path:
    """Make `folder` (0700, owned by `account`), or check that it is exactly that.

    PlaceError when it is a link or somebody else's: in a shared place like /tmp another user may have put it
    there first.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if state.st_uid == os.geteuid() and state.st_uid != account.uid:
        os.chown(folder, account.uid, account.gid)
        state = folder.lstat()
    if folder.is_symlink() or state.st_uid != account.uid:
        raise PlaceError(
            f"{folder} belongs to somebody else (user {state.st_uid}). Remove it and start again."
        )
    folder.chmod(0o700)
    return folder


def socket_folder(home: Path, parent: Path | None, account: Account) -> Path:
    """A short private folder for sockets: `parent` if it is short and plain, else one under /tmp."""
    chosen = parent if parent is not None else home / "run"
    if PLAIN_PATH.fullmatch(str(chosen)) and len(os.fsencode(chosen)) <= SOCKET_FOLDER_BYTES:
        chosen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account.uid == os.geteuid():
            return private_folder(chosen, account)
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return private_folder(Path("/tmp") / f"mekiki-{account.uid}-{name}", account)  # noqa: S108


def leave_sockets(folder: Path) -> None:
    """Remove a socket folder under /tmp once nothing is in it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def server_account(folder: Path) -> Account:
    """Who runs the database in `folder`: we, or for root the folder's owner or a system user."""
    me = Account.current()
    if me.uid != 0:
        return me
    if folder.is_dir():
        owner = folder.stat()
        if owner.st_uid != 0:
            return Account.of(owner.st_uid, owner.st_gid)
    return system_account()


def system_account() -> Account:
    """The system user that runs PostgreSQL for root; made when missing. PlaceError when it cannot be made."""
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        shell = next((s for s in ("/usr/sbin/nologin", "/sbin/nologin") if Path(s).exists()), "/bin/false")
        made = subprocess.run(
            ["useradd", "--system", "--no-create-home", "--user-group", "--shell", shell, SYSTEM_USER],
            capture_output=True,
            text=True,
        )
        try:
            entry = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            raise PlaceError(
                f"PostgreSQL does not run as root, and the system user {SYSTEM_USER!r} could not be made "
                f"({made.stderr.strip()}). Make it, or run Mekiki as an ordinary user, or set DATABASE_URL."
            ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def shared_place() -> Path:
    """The folder that holds root's databases: root's, 0755, so that the system user can pass through."""
    for place in SHARED_PLACES:
        try:
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        if place.stat().st_uid == 0 and not place.is_symlink() and os.access(place, os.W_OK):
            place.chmod(0o755)
            return place
    raise PlaceError(
        "Neither /var/lib/mekiki nor /var/tmp/mekiki can be written. Set DATABASE_URL, or MEKIKI_HOME as another user."
    )


def database_folder(folder: Path) -> tuple[Path, Account]:
    """The real place of the database called `folder` (a path inside the home) and who runs it.

    An ordinary user's is `folder` itself. Root's is a new folder in a shared place, and `folder` becomes a
    link to it: the link, not a name computed from the home, says which database is whose, so that a home
    that was deleted and made again starts empty.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() and not folder.exists():
        raise PlaceError(
            f"The database of this home is missing: {folder} points to {folder.readlink()}, which does not "
            f"exist or cannot be reached. Bring it back from a backup, or remove the link to start empty."
        )
    real = folder.resolve()
    account = server_account(real)
    if account.uid == os.geteuid():
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != account.uid:
            raise PlaceError(f"{folder} belongs to user {folder.stat().st_uid}. Start Mekiki as that user.")
        return folder, account
    if folder.is_dir() and folder.stat().st_uid == 0:
        if any(folder.iterdir()):
            raise PlaceError(f"{folder} belongs to root and is not empty: PostgreSQL cannot run on it.")
        folder.rmdir()
    if not folder.exists():
        real = shared_place() / secrets.token_hex(6)
        private_folder(real, account)
        note_owner(real, folder)
        folder.symlink_to(real)
    return real, account


def note_owner(real: Path, folder: Path) -> None:
    """Write beside a database outside its home which home it belongs to."""
    draft = real / ".belongs-to"
    draft.write_text(f"{folder}\n", encoding="utf-8", errors="surrogateescape")
    draft.replace(real / OWNER)


def database_owner(folder: Path) -> Path | None:
    """The `postgres` folder a database outside the home belongs to; None for a database inside, or none."""
    if not folder.is_symlink():
        return None
    try:
        text = (folder.resolve() / OWNER).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return Path(text.removesuffix("\n"))


def claim_database(folder: Path) -> None:
    """Note that the database outside belongs to `folder` from now on."""
    owner = database_owner(folder)
    if owner is not None and owner != folder:
        note_owner(folder.resolve(), folder)


def database_process(folder: Path) -> psutil.Process | None:
    """The server that runs on the database called `folder`, if one does."""
    data = folder.resolve() / "data"
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
        return process if str(data) in process.cmdline() else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def discard(folder: Path) -> None:
    """Delete the database called `folder`: for homes of tests and trials."""
    real = folder.resolve()
    shutil.rmtree(real, ignore_errors=True)
    if folder.is_symlink():
        folder.unlink()
