"""`mekiki status`: what runs on the home, and what needs attention."""

import json
import sys
from datetime import datetime
from gettext import gettext as _
from importlib.metadata import version
from typing import Any

from mekiki.config import env
from mekiki.config.cli.bodies import load_django
from mekiki.config.cli.errors import not_running
from mekiki.embedded import endpoints, history


def show(*, as_json: bool) -> None:
    """Print the state. Exit status 0 when the platform runs, 1 when it does not."""
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


def gather() -> dict[str, Any]:
    """The state of the home and of its servers; without a database when none runs."""
    home = env.home()
    found = endpoints.read(home)
    external = bool(env.text("DATABASE_URL"))
    state: dict[str, Any] = {
        "running": bool(found.pid) or external,
        "version": version("mekiki"),
        "home": str(home),
        "pid": found.pid or None,
        "url": found.web_url or None,
        "since": None,
        "processes": {},
        "last_backup": history.last_backup(home),
    }
    if not state["running"]:
        return state
    from mekiki.embedded.process import remembered

    if found.pid:
        import psutil

        born = psutil.Process(found.pid).create_time()
        state["since"] = datetime.fromtimestamp(born).astimezone().isoformat(timespec="seconds")
        # Names and numbers of the processes that answer now.
        files = sorted((home / "run").glob("*.pid"))
        state["processes"] = {f.stem: p.pid for f in files if (p := remembered(f)) is not None}
    load_django()
    state["database"] = _database()
    return state


def _database() -> dict[str, Any]:
    from django.db import connection

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
    from django.template.defaultfilters import filesizeformat
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    database = state["database"]
    processes = ", ".join(f"{name} {pid}" for name, pid in state["processes"].items())
    rows = [
        (_("Mekiki"), state["version"]),
        (_("Home"), state["home"]),
        (_("Address"), state["url"] or _("without pages")),
        (_("Running since"), state["since"] and _when(state["since"])),
        (_("Processes"), processes),
        (_("Database"), filesizeformat(database["bytes"])),
        (_("Contents"), _("%(datasets)s datasets, %(images)s images") % database),
        (_("Jobs"), _("%(jobs_active)s active, %(jobs_failed)s failed") % database),
    ]
    for name, value in rows:
        if value:
            table.add_row(name, str(value))
    Console(highlight=False).print(table)
    _print_backup(state["last_backup"])


def _print_backup(last: dict[str, Any] | None) -> None:
    if last is None:
        print(_("No backup was made from this home yet: mekiki backup FILE"))
        return
    print(_("Last backup: %(at)s, %(file)s") % {"at": _when(last["at"]), "file": last["file"]})


def _when(moment: str) -> str:
    """A time of the machine's zone, as the person's clock shows it."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
