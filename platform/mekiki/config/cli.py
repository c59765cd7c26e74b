"""The command line: `mekiki COMMAND …` is `manage.py COMMAND …`, with errors a person can act on."""

import os
import secrets
import sys


def main(argv: list[str] | None = None) -> None:
    """Run one management command. Exits with its status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    from mekiki.config import env

    arguments = argv if argv is not None else sys.argv[1:]
    if arguments[:1] == ["verify"]:
        # Anybody checks a label set anywhere: no home with keys of its own is made for that.
        env.unless_set("MEKIKI_SECRET_KEY", secrets.token_urlsafe(50))
    try:
        execute_from_command_line([sys.argv[0], *arguments])
    except env.Misconfigured as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    except OperationalError as problem:
        message = _not_running(problem)
        if message is None:
            raise
        sys.exit(message)


def _not_running(problem: Exception) -> str | None:
    """What to do about a database that cannot be reached; None when the error is another."""
    from django.conf import settings
    from django.utils.translation import gettext as _

    from mekiki.config import env
    from mekiki.embedded.supervisor.lock import is_held

    if "connection" not in str(problem):
        return None
    if env.text("DATABASE_URL"):
        return _("The database of DATABASE_URL does not answer: %(problem)s") % {
            "problem": str(problem).strip()
        }
    if is_held(settings.HOME):
        return None
    return _(
        "Mekiki is not running on %(home)s. Start it with “mekiki up” in another terminal, "
        "or point MEKIKI_HOME or DATABASE_URL at one that runs."
    ) % {"home": settings.HOME}
