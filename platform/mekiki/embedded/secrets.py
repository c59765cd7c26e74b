"""Secrets a one-machine install makes for itself, kept in HOME/keys (0700), never in the repository."""

import os
import secrets as random
from pathlib import Path


def make_home(home: Path) -> Path:
    """The home, made private (0700) when missing. One that exists keeps its mode: it may be a person's own."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def keys_folder(home: Path) -> Path:
    """HOME/keys, made with mode 0700 when missing."""
    folder = make_home(home) / "keys"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def keep_once(path: Path, content: bytes) -> bytes:
    """Write `content` to `path` (0600) unless it exists; return what the file holds.

    Two processes that start together agree: the file is linked into place whole, and the first wins.
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
    """The site's secret key: made at the first start, the same ever after."""
    return keep_once(keys_folder(home) / "secret_key", random.token_urlsafe(50).encode()).decode()
