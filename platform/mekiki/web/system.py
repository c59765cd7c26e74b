"""State of the whole platform (processes, disks, waiting jobs) for the page, the banner and monitors."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from mekiki.config import disk
from mekiki.embedded import state
from mekiki.jobs.models import Job, State


@dataclass(frozen=True)
class Row:
    """One process on the page."""

    title: str
    phase: str
    good: bool
    pid: int | None
    since: Any
    restarts: int
    last_end: str
    last_end_at: Any
    next_try: Any


def processes() -> list[Row]:
    """Return the processes of this home; empty where no supervisor runs on it."""
    rows = []
    for name, child in state.read(settings.HOME).children.items():
        ended = child["last_exit"]
        rows.append(
            Row(
                state.title(name),
                state.phase_text(child["phase"]),
                child["phase"] == state.RUNNING,
                child["pid"],
                _moment(child["since"]),
                child["restarts"],
                state.exit_text(ended),
                _moment(ended and ended["at"]),
                _moment(child["next_try"]),
            )
        )
    return rows


def _moment(text: str | None) -> Any:
    moment = parse_datetime(text) if text else None
    return timezone.localtime(moment) if moment else None


def disks() -> list[dict[str, Any]]:
    """Return the folders that are written to, with their free space and problems."""
    return [
        {
            "title": place_title(place.name),
            "folder": str(place.folder),
            "free": place.free,
            "total": place.total,
            "problem": disk_text(place.problem),
        }
        for place in disk.places()
    ]


def place_title(name: str) -> str:
    """Return the title of a folder by its contents."""
    return {"files": _("Files"), "database": _("Database"), "home": _("Home")}.get(name, name)


def disk_text(problem: str) -> str:
    """Return the explanation of a disk problem; "" for none."""
    texts = {
        disk.FULL: _(
            "Less than the reserve is free. Imports, trainings and label sets wait; reviewing "
            "continues. They resume automatically when there is free space again."
        ),
        disk.READ_ONLY: _(
            "The folder cannot be written. Imports, trainings and label sets wait; reviewing "
            "continues. They resume automatically when it can be written again."
        ),
    }
    return texts.get(problem, "")


def attention() -> list[dict[str, str]]:
    """Return what needs a person's attention now, {title, text}, the worst first. It makes no query."""
    rows = [
        {"title": row["title"], "text": row["text"]} for row in state.attention(state.read(settings.HOME))
    ]
    shown: set[str] = set()
    for place in disk.places():
        if place.problem and place.problem not in shown:
            shown.add(place.problem)
            title = _("Disk of %(folder)s") % {"folder": place.folder}
            rows.append({"title": title, "text": disk_text(place.problem)})
    return rows


def waiting_jobs() -> int:
    """Return the number of jobs that wait for room on the disk."""
    return Job.objects.filter(state=State.QUEUED).exclude(waiting_for="").count()
