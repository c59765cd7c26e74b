"""Output and exit statuses of `mekiki backup` and `mekiki restore`."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from gettext import gettext as _
from gettext import ngettext
from pathlib import Path

from rich import progress as bars
from rich.console import Console

from mekiki.config import env
from mekiki.config.cli.bodies import load_django
from mekiki.embedded.backup.progress import Progress

PARTLY = 3
SHOWN = 20


class Bar(Progress):
    """A progress bar for each part of the work, on a terminal only."""

    def __init__(self, bar: bars.Progress) -> None:
        self._bar = bar
        self._task: bars.TaskID | None = None

    def begin(self, what: str, total: int | None = None) -> None:
        """Show a new part of the work."""
        if self._task is not None:
            self._bar.update(self._task, visible=False)
        self._task = self._bar.add_task(what, total=total)

    def advance(self, count: int) -> None:
        """Add `count` bytes to the progress."""
        if self._task is not None:
            self._bar.advance(self._task, count)


@contextmanager
def _bar() -> Iterator[Bar]:
    console = Console(stderr=True)
    columns = (
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeElapsedColumn(),
    )
    with bars.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield Bar(bar)


def _end_in_order(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def make(file: Path, *, keys: bool, models: bool, as_json: bool) -> None:
    """Create a backup and print what it holds. The exit status is 3 if something could not be read."""
    signal.signal(signal.SIGTERM, _end_in_order)
    load_django()
    from django.template.defaultfilters import filesizeformat

    from mekiki.embedded.backup.making import back_up

    with _bar() as bar:
        made = back_up(env.home(), file, keys=keys, models=models, progress=bar)
    if as_json:
        answer = {"file": str(made.file), "bytes": made.bytes, "files": made.files, "left_out": made.left_out}
        print(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        text = ngettext(
            "Backup %(file)s: the database and %(files)s file, %(size)s.",
            "Backup %(file)s: the database and %(files)s files, %(size)s.",
            made.files,
        )
        print(text % {"file": made.file, "files": made.files, "size": filesizeformat(made.bytes)})
        if keys:
            print(_("It holds the keys of the site: keep it where only administrators can read it."))
    for name in made.left_out[:SHOWN]:
        print(_("Not in the backup: %(name)s") % {"name": name}, file=sys.stderr)
    if len(made.left_out) > SHOWN:
        print(_("… and %(n)s more") % {"n": len(made.left_out) - SHOWN}, file=sys.stderr)
    if made.left_out:
        sys.exit(PARTLY)


def fill(file: Path, home: Path, *, as_json: bool) -> None:
    """Restore a backup and print the next step."""
    signal.signal(signal.SIGTERM, _end_in_order)
    load_django()
    from mekiki.embedded.backup.restoring import restore

    with _bar() as bar:
        restored = restore(file, home, progress=bar)
    if as_json:
        print(json.dumps({"home": str(restored.home), "made_at": restored.made_at, "files": restored.files}))
        return
    text = ngettext(
        "Restored into %(home)s: the database and %(files)s file, as of %(at)s.",
        "Restored into %(home)s: the database and %(files)s files, as of %(at)s.",
        restored.files,
    )
    print(text % {"home": restored.home, "files": restored.files, "at": restored.made_at})
    if not restored.keys:
        print(
            _(
                "The backup was created without keys. All users must log in again. Nothing can be "
                "signed until the signing key is restored; if it is permanently lost, run “mekiki "
                "key rotate --lost”."
            )
        )
    print(_("Start it: MEKIKI_HOME=%(home)s mekiki up") % {"home": restored.home})
