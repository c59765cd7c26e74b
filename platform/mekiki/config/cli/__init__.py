"""The console command `mekiki`: commands for the people who run a platform.

`mekiki COMMAND` is declared in app.py and its work is done by the function or Django command it names; Django's
own commands are reached by `mekiki manage …` and `manage.py`. Nothing heavy is imported before a command needs it.
"""

import io
import sys
from collections.abc import Sequence

from mekiki.config import env
from mekiki.config.cli import language


def main() -> None:
    """The console command. Exits with the statuses of docs/reference/commands.md."""
    _escape_unknown_characters()
    sys.exit(run(sys.argv[1:]))


def _escape_unknown_characters() -> None:
    """Write characters that the terminal's encoding (ASCII, EUC-JP) lacks as escapes, where Python would stop."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit status."""
    language.speak(env.terminal_language())
    # Both translate their texts when they are imported, so the language is chosen before.
    from mekiki.config.cli.app import app
    from mekiki.config.cli.errors import guarded

    return guarded(lambda: app.main(args=list(arguments), prog_name="mekiki"))


def manage(arguments: Sequence[str]) -> int:
    """Run one of Django's commands (`manage.py`); its exit status."""
    language.speak(env.terminal_language())
    from mekiki.config.cli.bodies import run_django
    from mekiki.config.cli.errors import guarded

    return guarded(lambda: run_django("manage.py", arguments))
