"""Secrets that a one-machine installation creates itself.

They are stored in HOME/keys (0700), never in the repository.
"""

import os
import secrets as random
from pathlib import Path


def make_home(home: Path) -> Path:
    """Create the home (0700) if it is missing, and return it.

    An existing folder keeps its mode, because it may be the home folder of a person.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def keys_folder(home: Path) -> Path:
    """Return HOME/keys, created with mode 0700 if missing."""
    folder = make_home(home) / "keys"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def create_if_missing(path: Path, content: bytes) -> bytes:
    """Write `content` to `path` (0600) unless the file exists, and return the content of the file.

    Two processes that start together get the same content: the complete file is linked into place, and the
    first link wins.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.{random.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_bytes()


def site_key(home: Path) -> str:
    """Return the secret key of the site. It is created at the first start and never changes."""
    return create_if_missing(keys_folder(home) / "secret_key", random.token_urlsafe(50).encode()).decode()
