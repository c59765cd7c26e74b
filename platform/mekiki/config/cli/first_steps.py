"""Output of `mekiki` without a command: the state of the home, and the next commands."""

from gettext import gettext as _
from importlib.metadata import version

from rich.console import Console

from mekiki.config import env
from mekiki.embedded import endpoints


def show() -> None:
    """Print whether a platform runs on the home, and the next commands."""
    home = env.home()
    running = endpoints.read(home)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]Mekiki[/] {version('mekiki')}", end="  ")
    if running.pid:
        where = running.web_url or _("without pages")
        console.print(_("runs on %(home)s") % {"home": home}, where, sep="  ", markup=False)
    elif (home / "postgres").exists():
        console.print(_("does not run on %(home)s; its data is there") % {"home": home}, markup=False)
    else:
        console.print(_("no platform at %(home)s yet") % {"home": home}, markup=False)
    console.print()
    steps = (
        ("mekiki up", _("run the platform on this machine, and create the first admin")),
        ("mekiki demo", _("the same with a sample dataset, to look around")),
        ("mekiki replay FOLDER", _("estimate how many answers your sorted images would need")),
    )
    if running.pid:
        steps = (
            ("mekiki status", _("what runs, and what needs attention")),
            ("mekiki import SLUG PATH", _("import images from this machine's disk")),
            ("mekiki backup FILE", _("copy the database, the files and the keys into one file")),
        )
    for command, meaning in steps:
        console.print(f"  [cyan]{command:<24}[/] {meaning}")
    console.print()
    console.print(_("All commands: mekiki --help"))
