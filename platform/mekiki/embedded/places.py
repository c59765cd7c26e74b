"""Places of the data and sockets of the embedded servers.

There are two constraints. The path of a unix socket has at most about 100 bytes, and a home may lie anywhere.
Sockets therefore go into a short private folder if the path of the home is long or unusual. PostgreSQL
refuses to run as root. For root its data therefore lies outside the home, owned by a system user, and the
home holds a link. The home and its parents keep their modes, and the system user gets no access to them.
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
from filelock import FileLock

from mekiki.config.plain import UserError
from mekiki.embedded.process import Account

SYSTEM_USER = "pgserver"
# Name of a file beside a database outside the home. The file names the home.
OWNER = "belongs-to"
# The longest file name in a socket folder is `.s.PGSQL.5432.lock`, and sun_path holds 104 bytes on macOS.
SOCKET_FOLDER_BYTES = 80
# Socket paths must not contain separators of PostgreSQL's lists and of URLs.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.@+-]+")
SHARED_PLACES = (Path("/var/lib/mekiki"), Path("/var/tmp/mekiki"))  # noqa: S108


class PlaceError(UserError):
    """A folder cannot be used. The message names it and says why and what to do."""


def private_folder(folder: Path, account: Account) -> Path:
    """Create `folder` (0700, owned by `account`), or check that it has this owner, and return it.

    Raises PlaceError if it is a link or belongs to another user. In a shared place like /tmp another user may
    have created it first.
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
    """Return a short private folder for sockets.

    The result is `parent` (or HOME/run) if that path is short and plain, else a folder under /tmp.
    """
    chosen = parent if parent is not None else home / "run"
    if PLAIN_PATH.fullmatch(str(chosen)) and len(os.fsencode(chosen)) <= SOCKET_FOLDER_BYTES:
        chosen.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account.uid == os.geteuid():
            return private_folder(chosen, account)
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return private_folder(Path("/tmp") / f"mekiki-{account.uid}-{name}", account)  # noqa: S108


def remove_socket_folder(folder: Path) -> None:
    """Remove an empty socket folder."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def server_account(folder: Path) -> Account:
    """Return the account that runs the database in `folder`.

    For an ordinary user this is the user. For root it is the owner of the folder, or a system user.
    """
    me = Account.current()
    if me.uid != 0:
        return me
    if folder.is_dir():
        owner = folder.stat()
        if owner.st_uid != 0:
            return Account.of(owner.st_uid, owner.st_gid)
    return system_account()


def system_account() -> Account:
    """Return the system user that runs PostgreSQL for root, created if missing.

    Raises PlaceError if it cannot be created.
    """
    entry = _system_entry()
    if entry is None:
        # useradd replaces the user of a second useradd that runs at the same time.
        with FileLock(shared_database_folder() / ".account.lock"):
            entry = _system_entry()
            output = "" if entry else _add_system_user()
            entry = entry or _system_entry()
        if entry is None:
            raise PlaceError(
                f"PostgreSQL does not run as root, and the system user {SYSTEM_USER!r} could not be made "
                f"({output}). Make it, or run Mekiki as an ordinary user, or set DATABASE_URL."
            )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _system_entry() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None


def _add_system_user() -> str:
    """Run useradd for the system user, and return its error output."""
    shell = next((s for s in ("/usr/sbin/nologin", "/sbin/nologin") if Path(s).exists()), "/bin/false")
    command = ["useradd", "--system", "--no-create-home", "--user-group", "--shell", shell, SYSTEM_USER]
    return subprocess.run(command, capture_output=True, text=True).stderr.strip()


def shared_database_folder() -> Path:
    """Return the folder for root's databases, owned by root with mode 0755.

    The mode lets the system user reach the databases inside.
    """
    for place in SHARED_PLACES:
        try:
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        if place.stat().st_uid == 0 and not place.is_symlink() and os.access(place, os.W_OK):
            place.chmod(0o755)
            return place
    raise PlaceError(
        "Neither /var/lib/mekiki nor /var/tmp/mekiki can be written. Set DATABASE_URL, or MEKIKI_HOME as "
        "another user."
    )


def database_folder(folder: Path) -> tuple[Path, Account]:
    """Return the real place of the database `folder` (a path in the home), and the account that runs it.

    For an ordinary user the place is `folder` itself. For root it is a new folder in a shared place, and
    `folder` becomes a link to it. Only the link says which database belongs to which home. A name computed
    from the path of the home would not do: a home that was deleted and created again must start empty.
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
        real = shared_database_folder() / secrets.token_hex(6)
        private_folder(real, account)
        note_owner(real, folder)
        folder.symlink_to(real)
    return real, account


def note_owner(real: Path, folder: Path) -> None:
    """Write the path of the home's `postgres` folder beside a database outside the home."""
    draft = real / ".belongs-to"
    draft.write_text(f"{folder}\n", encoding="utf-8", errors="surrogateescape")
    draft.replace(real / OWNER)


def database_owner(folder: Path) -> Path | None:
    """Return the `postgres` folder that a database outside the home belongs to.

    Returns None for a database inside the home, or if there is none.
    """
    if not folder.is_symlink():
        return None
    try:
        text = (folder.resolve() / OWNER).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return Path(text.removesuffix("\n"))


def claim_database(folder: Path) -> None:
    """Record that the database outside the home belongs to `folder` from now on."""
    owner = database_owner(folder)
    if owner is not None and owner != folder:
        note_owner(folder.resolve(), folder)


def database_process(folder: Path) -> psutil.Process | None:
    """Return the server process that runs on the database `folder`, or None."""
    data = folder.resolve() / "data"
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().splitlines()[0]))
        return process if str(data) in process.cmdline() else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def delete_database(folder: Path) -> None:
    """Delete the database `folder`, for homes of tests and trials."""
    real = folder.resolve()
    shutil.rmtree(real, ignore_errors=True)
    if folder.is_symlink():
        folder.unlink()
