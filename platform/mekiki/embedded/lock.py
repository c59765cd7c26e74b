"""The lock that allows only one supervisor per home."""

import contextlib
import fcntl
import json
import os
import pwd
import time
from gettext import gettext as _
from pathlib import Path
from typing import Self

from mekiki.config.plain import UserError
from mekiki.embedded.small_files import BLOCK


class AlreadyRunningError(UserError):
    """Another supervisor holds the lock of the home.

    The message names its process and says how to stop it.
    """


class HomeLock:
    """The exclusive lock of a home.

    The kernel releases it when the process that holds it ends, for whatever reason.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "run" / "supervisor.lock"
        # Not a FileLock: the locked file holds the text of `describe`, which is written through its handle.
        self._handle: int | None = None

    def __enter__(self) -> Self:
        """Take the lock.

        Raises AlreadyRunningError if another process holds it, PlainError if this user may not write the
        home.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise UserError(not_writable_message(self.home, problem)) from None
        if not _take(handle):
            holder = self._read(handle)
            os.close(handle)
            raise AlreadyRunningError(
                _(
                    "Mekiki already runs on %(home)s (process %(pid)s, %(url)s). Stop it with Ctrl-C in its "
                    "terminal or with “kill %(pid)s”, or choose another home with MEKIKI_HOME."
                )
                % {"home": self.home, **holder}
            ) from None
        self._handle = handle
        self.describe("")
        return self

    def describe(self, url: str) -> None:
        """Store the process id and the URL of the holder, for the message of AlreadyRunningError."""
        assert self._handle is not None
        # The text overwrites the file in place without truncation, because on a full disk the file could not
        # grow again.
        text = json.dumps({"pid": os.getpid(), "url": url or "…"}).ljust(BLOCK)
        with contextlib.suppress(OSError):
            os.pwrite(self._handle, text.encode(), 0)

    def __exit__(self, *_exc: object) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    @staticmethod
    def _read(handle: int) -> dict[str, object]:
        try:
            holder = json.loads(os.pread(handle, 4096, 0))
            return {"pid": int(holder["pid"]), "url": str(holder["url"])}
        except (ValueError, TypeError, KeyError):
            return {"pid": "?", "url": "…"}


def _take(handle: int) -> bool:
    """Lock the open file and return whether that succeeded.

    is_held locks the file for a moment, so this function retries for a short time.
    """
    for _attempt in range(5):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.05)
    return False


def not_writable_message(home: Path, problem: OSError) -> str:
    """Return a message that says why the home cannot be written, and what to do."""
    with contextlib.suppress(OSError, KeyError):
        owner = home.stat().st_uid
        if os.geteuid() not in {0, owner}:
            return _(
                "The home %(home)s belongs to user %(owner)s. Nothing was changed. Run the command as that "
                "user, or choose another home with MEKIKI_HOME."
            ) % {"home": home, "owner": pwd.getpwuid(owner).pw_name}
    return _(
        "The home %(home)s cannot be written: %(why)s. Nothing was changed. Make it writable, or choose "
        "another home with MEKIKI_HOME."
    ) % {"home": home, "why": problem.strerror}


def is_held(home: Path) -> bool:
    """Return whether a supervisor runs on this home."""
    try:
        handle = os.open(home / "run" / "supervisor.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
