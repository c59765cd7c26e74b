"""Messages of the supervisor: short lines on the terminal.

The same lines are written with their time to HOME/logs/mekiki.log.
"""

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
    """Writer of the supervisor's messages.

    A terminal that was closed, or that cannot show a character, does not stop the supervisor.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.colour = supports_color() and env.allows_colour()
        with contextlib.suppress(AttributeError):
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]

    def ok(self, text: str) -> None:
        """Report that something works."""
        self._say("ok", text)

    def warn(self, text: str) -> None:
        """Report something that failed and is being restarted, or something that needs attention."""
        self._say("warn", text)

    def bad(self, text: str) -> None:
        """Report something that failed permanently."""
        self._say("bad", text)

    def head(self, text: str) -> None:
        """Report that a phase begins or ends."""
        self._say("head", text)

    def secret(self, text: str) -> None:
        """Print a secret on the terminal only. A password must not enter a log."""
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
