"""The passwords of the embedded server's roles, in a file (0600) beside the database."""

import json
import os
import secrets
from pathlib import Path
from urllib.parse import quote

from mekiki.embedded.roles import APPLICATION, DATABASE, OWNER, REPORT, SUPERUSER

FILE = "roles.json"
ROLES = (SUPERUSER, OWNER, APPLICATION, REPORT)


def read(folder: Path) -> dict[str, str] | None:
    """Return role → password, or None if the file is missing or incomplete."""
    try:
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return {role: str(stored[role]) for role in ROLES}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def new_passwords() -> dict[str, str]:
    """Return a new password for each role: 256 bits in letters, digits, - and _."""
    return {role: secrets.token_urlsafe(32) for role in ROLES}


def write(folder: Path, passwords: dict[str, str]) -> None:
    """Replace the password file atomically (0600)."""
    draft = folder / f".{FILE}"
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(passwords, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / FILE)


def url(role: str, password: str, sockets: Path, database: str = DATABASE) -> str:
    """Return the URL of the embedded database for a role."""
    return f"postgresql://{role}:{password}@/{database}?host={quote(str(sockets))}"
