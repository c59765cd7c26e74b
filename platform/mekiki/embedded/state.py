"""How the processes of a home are: written by the supervisor, read by `mekiki status` and the site.

The file holds codes and figures; sentences are made for the reader, in the reader's language.
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
# In the order in which they matter to people.
NAMES = ("postgres", "web", "valkey", "worker", "search", "sweeper", "beat")


@dataclass(frozen=True)
class State:
    """What the supervisor wrote last. children: name → its record; disks: one record a place on a disk."""

    pid: int = 0
    born: str = ""
    children: dict[str, dict[str, Any]] = field(default_factory=dict)
    out_of_memory: int = 0  # processes that the kernel ended for want of memory since the start


def path(home: Path) -> Path:
    """The file that holds it."""
    return home / "run" / "state.json"


def write(home: Path, children: dict[str, dict[str, Any]], out_of_memory: int = 0) -> None:
    """Replace the state. What cannot be written is left as it was: nothing depends on it but what people read."""
    with contextlib.suppress(OSError, psutil.Error):
        found = {"pid": os.getpid(), "born": birth(os.getpid())}
        write_small(path(home), json.dumps({**found, "children": children, "out_of_memory": out_of_memory}))


def read(home: Path) -> State:
    """What the supervisor that runs on this home wrote; an empty state when none runs."""
    for _attempt in range(3):
        try:
            found = State(**json.loads(path(home).read_text(encoding="utf-8")))
            return found if birth(found.pid) == found.born else State()
        except ValueError:
            time.sleep(0.01)  # a full disk: it is being written over
        except (OSError, TypeError, psutil.Error):
            break
    return State()


def now() -> str:
    """This moment, for records."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def title(name: str) -> str:
    """The name of a process as people read it."""
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
    """What does not work while a process is away."""
    texts = {
        "postgres": _("Nothing can be read or answered."),
        "web": _("Pages do not open."),
        "valkey": _("Jobs wait. Reviewing goes on."),
        "worker": _("Jobs wait. Reviewing goes on."),
        "search": _("Search by text does not answer. Reviewing goes on."),
        "sweeper": _("Jobs that stalled are not taken up again."),
        "beat": _("Scheduled trainings wait. Reviewing goes on."),
    }
    return texts.get(name, "")


def phase_text(phase: str) -> str:
    """What a process does now, in words."""
    words = {RUNNING: _("runs"), STARTING: _("is being started"), WAITING: _("waits for its next start")}
    return words.get(phase, phase)


def exit_text(found: dict[str, Any] | None) -> str:
    """How a process ended, in words; "" when it has not."""
    if not found:
        return ""
    if found.get("error"):
        return _("it did not start: %(why)s") % {"why": found["error"]}
    code = found.get("code")
    if code is None:
        return _("it did not start")
    if code >= 0:
        return _("exit status %(code)s") % {"code": code}
    text = _("killed by signal %(number)s") % {"number": -code}
    if code == -signal.SIGKILL and found.get("memory") is not False:
        sure = found.get("memory")
        text += " " + (_("(the machine ran out of memory)") if sure else _("(out of memory?)"))
    return text


def attention(found: State) -> list[dict[str, str]]:
    """The processes that do not run: {name, title, text}, those that matter most first."""
    rows = []
    for name in sorted(found.children, key=_rank):
        child = found.children[name]
        if child["phase"] == RUNNING:
            continue
        parts = [without(name)]
        if said := exit_text(child.get("last_exit")):
            parts.append(_("Its last end: %(how)s.") % {"how": said})
        parts.append(_("It is started again by itself."))
        rows.append({"name": name, "title": title(name), "text": " ".join(part for part in parts if part)})
    return rows


def _rank(name: str) -> int:
    return NAMES.index(name) if name in NAMES else len(NAMES)
