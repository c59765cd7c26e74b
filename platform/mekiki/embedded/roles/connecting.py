"""The addresses of the database for each role."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mekiki.config import env
from mekiki.embedded import endpoints
from mekiki.embedded.roles import OWNER, passwords


def role_of(url: str) -> str:
    """Return the role a URL names; empty where it names none."""
    return unquote(urlsplit(url).username or "")


def owner_url(home: Path, database_url: str) -> str:
    """Return the owner's URL of the database that `database_url` names for the application.

    That of DATABASE_OWNER_URL, or of the embedded server that runs on the home, where this user may read its
    passwords. Else `database_url`: one role does everything, as on servers that were set up before the roles.
    """
    if env.text("DATABASE_URL") == database_url and (given := env.text("DATABASE_OWNER_URL")):
        return given
    running = endpoints.read(home).database_url
    known = passwords.read(home / "postgres")
    if known is None or running != database_url:
        return database_url
    return as_role(database_url, OWNER, known[OWNER])


def as_role(url: str, role: str, password: str) -> str:
    """Return the URL with another role and its password."""
    _before, at, after = url.partition("@")
    return f"{url.partition('://')[0]}://{role}:{password}{at}{after}"
