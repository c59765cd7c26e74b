"""State of the processes of a home: the supervisor writes it, `mekiki status` and the site read it.

The file holds codes and figures. The reader creates sentences from them, in the reader's language.
"""

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from django.utils.translation import gettext as _

from mekiki.embedded.process import birth
from mekiki.embedded.small_files import write_small

RUNNING, STARTING, WAITING = "running", "starting", "waiting"
# The most important process for people comes first.
NAMES = ("postgres", "web", "valkey", "worker", "search", "sweeper", "beat")


@dataclass(frozen=True)
class State:
    """The last state that the supervisor wrote.

    `children` maps names to records.
    """

    pid: int = 0
    born: str = ""
    children: dict[str, dict[str, Any]] = field(default_factory=dict)
    out_of_memory: int = 0  # number of processes that the kernel killed for lack of memory since the start


def path(home: Path) -> Path:
    """Return the path of the state file."""
    return home / "run" / "state.json"


def write(home: Path, children: dict[str, dict[str, Any]], out_of_memory: int = 0) -> None:
    """Replace the state file.

    If that fails, the old file stays. Only messages for people depend on it.
    """
    with contextlib.suppress(OSError, psutil.Error):
        owner = {"pid": os.getpid(), "born": birth(os.getpid())}
        write_small(path(home), json.dumps({**owner, "children": children, "out_of_memory": out_of_memory}))


def read(home: Path) -> State:
    """Return the state that the running supervisor wrote, or an empty state if no supervisor runs."""
    for _attempt in range(3):
        try:
            state = State(**json.loads(path(home).read_text(encoding="utf-8")))
            return state if birth(state.pid) == state.born else State()
        except ValueError:
            time.sleep(0.01)  # the file is being overwritten on a full disk
        except (OSError, TypeError, psutil.Error):
            break
    return State()


def now() -> str:
    """Return the current time for records (ISO 8601, UTC)."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def title(name: str) -> str:
    """Return the name of a process for people."""
    titles = {
        "postgres": "PostgreSQL",
        "valkey": "Valkey",
        "web": _("Web"),
        "worker": _("Worker"),
        "search": _("Search worker"),
        "sweeper": _("Sweeper"),
        "beat": _("Schedule"),
    }
    return titles.get(name, name)


def without(name: str) -> str:
    """Return a sentence about what does not work while a process does not run."""
    texts = {
        "postgres": _("Nothing can be read or judged."),
        "web": _("Pages do not open."),
        "valkey": _("Jobs wait. Reviewing goes on."),
        "worker": _("Jobs wait. Reviewing goes on."),
        "search": _("Search by text does not answer. Reviewing goes on."),
        "sweeper": _("Stalled jobs are not resumed."),
        "beat": _("Scheduled trainings wait. Reviewing goes on."),
    }
    return texts.get(name, "")


def phase_text(phase: str) -> str:
    """Return the phase of a process in words."""
    words = {RUNNING: _("runs"), STARTING: _("is being started"), WAITING: _("waits for its next start")}
    return words.get(phase, phase)


def exit_text(end: dict[str, Any] | None) -> str:
    """Return in words how a process ended, or "" if it has not ended."""
    if not end:
        return ""
    if end.get("error"):
        return _("it did not start: %(why)s") % {"why": end["error"]}
    code = end.get("code")
    if code is None:
        return _("it did not start")
    if code >= 0:
        return _("exit status %(code)s") % {"code": code}
    text = _("killed by signal %(number)s") % {"number": -code}
    if code == -signal.SIGKILL and end.get("memory") is not False:
        sure = end.get("memory")
        text += " " + (_("(the machine ran out of memory)") if sure else _("(out of memory?)"))
    return text


def attention(state: State) -> list[dict[str, str]]:
    """Return {name, title, text} of the processes that do not run, the most important first."""
    rows = []
    for name in sorted(state.children, key=_rank):
        child = state.children[name]
        if child["phase"] == RUNNING:
            continue
        parts = [without(name)]
        if end := exit_text(child.get("last_exit")):
            parts.append(_("Its last end: %(how)s.") % {"how": end})
        parts.append(_("It is restarted automatically."))
        rows.append({"name": name, "title": title(name), "text": " ".join(part for part in parts if part)})
    return rows


def _rank(name: str) -> int:
    return NAMES.index(name) if name in NAMES else len(NAMES)
