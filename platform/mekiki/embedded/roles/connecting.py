"""The database URLs of the roles."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mekiki.config import env
from mekiki.embedded import endpoints
from mekiki.embedded.roles import OWNER, passwords


def role_of(url: str) -> str:
    """Return the role that a URL names, or "" if it names none."""
    return unquote(urlsplit(url).username or "")


def owner_url(home: Path, database_url: str) -> str:
    """Return the owner's URL of the database that `database_url` names for the application.

    The URL comes from DATABASE_OWNER_URL, or from the embedded server on the home if this user may read its
    passwords. Otherwise the result is `database_url`: one role does everything, as on servers that were set
    up before the roles existed.
    """
    if env.text("DATABASE_URL") == database_url and (given := env.text("DATABASE_OWNER_URL")):
        return given
    running = endpoints.read(home).database_url
    known = passwords.read(home / "postgres")
    if known is None or running != database_url:
        return database_url
    return as_role(database_url, OWNER, known[OWNER])


def as_role(url: str, role: str, password: str) -> str:
    """Return the URL with another role and that role's password."""
    _before, at, after = url.partition("@")
    return f"{url.partition('://')[0]}://{role}:{password}{at}{after}"
