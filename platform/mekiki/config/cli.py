"""The command line: `mekiki COMMAND …` is `manage.py COMMAND …`."""

import os
import sys


def main(argv: list[str] | None = None) -> None:
    """Run one management command. Exits with its status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line([sys.argv[0], *(argv if argv is not None else sys.argv[1:])])
