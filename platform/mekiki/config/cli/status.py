"""Output of `mekiki status`: the processes of the home, and what needs attention."""

import json
import sys
from datetime import datetime
from gettext import gettext as _
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mekiki.config import disk, env
from mekiki.config.cli.bodies import load_django
from mekiki.config.cli.errors import not_running
from mekiki.embedded import endpoints, history


def show(*, as_json: bool) -> None:
    """Print the state of the platform.

    The exit status is 0 if everything runs, 1 if nothing runs, 3 if something needs attention.
    """
    state = gather()
    if as_json:
        print(json.dumps(state, ensure_ascii=False, indent=2))
    elif not state["running"]:
        print(not_running(), file=sys.stderr)
        _print_backup(state["last_backup"])
    else:
        _print(state)
    if not state["running"]:
        sys.exit(1)
    if state["attention"]:
        sys.exit(3)


def gather() -> dict[str, Any]:
    """Return the state of the home and its servers. There is no database part if nothing runs."""
    home = env.home()
    running, born = _supervisor(home)
    external = bool(env.text("DATABASE_URL"))
    state: dict[str, Any] = {
        "running": bool(running.pid) or external,
        "version": version("mekiki"),
        "home": str(home),
        "pid": running.pid or None,
        "url": running.web_url or None,
        "since": None,
        "processes": {},
        "children": {},
        "disks": [],
        "attention": [],
        "last_backup": history.last_backup(home),
    }
    if not state["running"]:
        return state
    from mekiki.embedded.process import remembered

    if running.pid:
        state["since"] = datetime.fromtimestamp(born).astimezone().isoformat(timespec="seconds")
        # Names and ids of the processes that are alive now.
        files = sorted((home / "run").glob("*.pid"))
        state["processes"] = {f.stem: p.pid for f in files if (p := remembered(f)) is not None}
    load_django()
    state["database"] = _database()
    from mekiki.embedded import state as processes

    written = processes.read(home)
    state["children"] = written.children
    state["attention"] = processes.attention(written)
    state["disks"] = [
        {"name": place.name, "folder": str(place.folder), "free": place.free, "problem": place.problem}
        for place in disk.places()
    ]
    state["attention"] += _disk_rows(state["disks"])
    if state["database"] is None and "postgres" not in {row["name"] for row in state["attention"]}:
        text = _("It does not answer. Nothing can be read or judged until it does.")
        state["attention"].insert(0, {"name": "database", "title": _("Database"), "text": text})
    return state


def _supervisor(home: Path) -> tuple[endpoints.Endpoints, float]:
    """Return (addresses, start time of the supervisor in Unix seconds), or (defaults, 0) if none runs."""
    running = endpoints.read(home)
    if not running.pid:
        return running, 0.0
    import psutil

    try:
        return running, psutil.Process(running.pid).create_time()
    except psutil.NoSuchProcess:  # it has ended since its addresses were read
        return endpoints.Endpoints(), 0.0


def _disk_rows(disks: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return one row for each kind of disk problem."""
    texts = {
        disk.FULL: _(
            "Less than the reserve is free. Imports, trainings and label sets wait; reviewing goes on."
        ),
        disk.READ_ONLY: _("The folder cannot be written. Imports, trainings and label sets wait."),
    }
    problems = {place["problem"]: place for place in reversed(disks) if place["problem"]}
    return [
        {"name": "disk", "title": place["folder"], "text": texts[problem]}
        for problem, place in problems.items()
    ]


def _database() -> dict[str, Any] | None:
    """Return figures of the database, or None if it does not respond."""
    from django.db import Error, connection

    try:
        return _figures(connection)
    except Error:
        return None


def _figures(connection: Any) -> dict[str, Any]:
    from mekiki.datasets.models import Dataset, Image
    from mekiki.jobs.models import ACTIVE_STATES, Job, State

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        size = cursor.fetchone()[0]
    return {
        "bytes": size,
        "datasets": Dataset.objects.filter(archived_at__isnull=True).count(),
        "images": Image.objects.count(),
        "jobs_active": Job.objects.filter(state__in=ACTIVE_STATES).count(),
        "jobs_failed": Job.objects.filter(state=State.FAILED).count(),
    }


def _print(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    database = state["database"]
    rows = [
        (_("Mekiki"), state["version"]),
        (_("Home"), state["home"]),
        (_("Address"), state["url"] or _("without pages")),
        (_("Running since"), state["since"] and _when(state["since"])),
        *([] if database is None else _contents(database)),
    ]
    for name, value in rows:
        if value:
            table.add_row(name, str(value))
    console = Console(highlight=False)
    console.print(table)
    if state["children"]:
        console.print(_processes(state["children"]))
    for row in state["attention"]:
        console.print(f"! {row['title']}: {row['text']}", style="yellow", markup=False)
    _print_backup(state["last_backup"])


def _contents(database: dict[str, Any]) -> list[tuple[str, str]]:
    from django.template.defaultfilters import filesizeformat

    return [
        (_("Database"), filesizeformat(database["bytes"])),
        (_("Contents"), _("%(datasets)s datasets, %(images)s images") % database),
        (_("Jobs"), _("%(jobs_active)s active, %(jobs_failed)s failed") % database),
    ]


def _processes(children: dict[str, dict[str, Any]]) -> Any:
    """Return a table of the processes: state, since when, number of restarts, last end."""
    from rich.table import Table

    from mekiki.embedded import state as processes

    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for heading in (_("Process"), _("State"), _("Since"), _("Restarts"), _("Last end")):
        table.add_column(heading)
    for name, child in children.items():
        since = child["since"] or child["next_try"]
        ended = child["last_exit"]
        how = f"{_when(ended['at'])} {processes.exit_text(ended)}" if ended else ""
        phase = processes.phase_text(child["phase"])
        state = f"{phase} ({child['pid']})" if child["pid"] else phase
        table.add_row(processes.title(name), state, since and _when(since), str(child["restarts"]), how)
    return table


def _print_backup(last: dict[str, Any] | None) -> None:
    if last is None:
        print(_("No backup was made from this home yet: mekiki backup FILE"))
        return
    print(_("Last backup: %(at)s, %(file)s") % {"at": _when(last["at"]), "file": last["file"]})


def _when(moment: str) -> str:
    """Return an ISO 8601 time as local time, to the minute."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
