"""What the supervisor says: short lines on the terminal, the same with their time in HOME/logs/mekiki.log."""

import contextlib
import sys
import time
from pathlib import Path

from django.core.management.color import supports_color

from mekiki.config import env
from mekiki.embedded.process import rotate

COLOURS = {"ok": "32", "warn": "33", "bad": "31", "head": "1"}
MARKS = {"ok": "✓", "warn": "!", "bad": "✗", "head": ""}


class Console:
    """Writes lines. A terminal that has gone away, or cannot show a character, never stops the supervisor."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.colour = supports_color() and env.colour()
        with contextlib.suppress(AttributeError):
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]

    def ok(self, text: str) -> None:
        """Something works."""
        self._say("ok", text)

    def warn(self, text: str) -> None:
        """Something broke and is being mended, or deserves attention."""
        self._say("warn", text)

    def bad(self, text: str) -> None:
        """Something broke for good."""
        self._say("bad", text)

    def head(self, text: str) -> None:
        """What begins or ends."""
        self._say("head", text)

    def secret(self, text: str) -> None:
        """For the terminal alone: a password is not written to a log."""
        self._print(text)

    def _say(self, kind: str, text: str) -> None:
        with contextlib.suppress(OSError):
            rotate(self.log)
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {kind:4} {text}\n")
        line = f"{MARKS[kind]} {text}" if MARKS[kind] else text
        self._print(f"\033[{COLOURS[kind]}m{line}\033[0m" if self.colour else line)

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(line, flush=True)
