"""The console command `mekiki`, for people who run a platform.

app.py declares `mekiki COMMAND`, and the function or Django command that it names does the work. Django's own
commands are available as `mekiki manage …` and `manage.py`. Large modules are imported only when a command
needs them.
"""

import io
import sys
from collections.abc import Sequence

from mekiki.config import env
from mekiki.config.cli import language


def main() -> None:
    """Run the console command. Exits with the statuses of docs/reference/commands.md."""
    _escape_unknown_characters()
    sys.exit(run(sys.argv[1:]))


def _escape_unknown_characters() -> None:
    """Write characters that the terminal's encoding lacks (ASCII, EUC-JP) as escape sequences.

    Without this, Python would raise an error.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status."""
    language.set_gettext_language(env.terminal_language())
    # Both modules translate their texts at import, so the language must be set before.
    from mekiki.config.cli.app import app
    from mekiki.config.cli.errors import run_and_report

    return run_and_report(lambda: app.main(args=list(arguments), prog_name="mekiki"))


def manage(arguments: Sequence[str]) -> int:
    """Run one of Django's commands (`manage.py`) and return its exit status."""
    language.set_gettext_language(env.terminal_language())
    from mekiki.config.cli.bodies import run_django
    from mekiki.config.cli.errors import run_and_report

    return run_and_report(lambda: run_django("manage.py", arguments))
