"""The Django commands behind `mekiki COMMAND`. Django is loaded only when it is needed."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mekiki.config import env
from mekiki.config.start import set_up_django

if TYPE_CHECKING:
    from django.core.management.base import BaseCommand

# Command → the app that holds it.
APP_OF_COMMAND = {
    "up": "embedded",
    "demo": "simulation",
    "import": "datasets",
    "replay": "simulation",
    "reset_second_factor": "accounts",
    "user_admin": "accounts",
    "user_password": "accounts",
    "retrain": "learning",
    "certify": "quality",
    "sweeper": "jobs",
    "verify": "exports",
}


def load_django() -> None:
    """Set up Django with the language of the terminal."""
    from django.utils import translation

    env.use_settings()
    set_up_django()
    translation.activate(env.terminal_language())


def load_command(name: str) -> "BaseCommand":
    """Return the Django command with this name."""
    load_django()
    module = importlib.import_module(f"mekiki.{APP_OF_COMMAND[name]}.management.commands.{name}")
    command: BaseCommand = module.Command(no_color=not env.allows_colour())
    return command


def run_command(name: str, options: dict[str, object]) -> None:
    """Run a Django command with options that click has parsed and checked."""
    load_command(name).execute(
        force_color=False, no_color=not env.allows_colour(), skip_checks=True, verbosity=1, **options
    )


# Django commands that change tables. The application's database role may not do that.
COMMANDS_AS_OWNER = frozenset({"migrate", "flush", "pgtrigger", "remove_stale_contenttypes"})


def run_django(program: str, arguments: Sequence[str]) -> None:
    """Run one of Django's own commands.

    A command that changes tables runs as the owner of the database, if that role is reachable.
    """
    load_django()
    from django.core.management import ManagementUtility

    command = ManagementUtility([program, *arguments])
    if arguments and arguments[0] in COMMANDS_AS_OWNER:
        shows_help = not {"-h", "--help"}.isdisjoint(arguments)
        _run_as_owner(command.execute, migrates=arguments[0] == "migrate" and not shows_help)
    else:
        command.execute()


def _run_as_owner(execute: Callable[[], None], *, migrates: bool) -> None:
    from django.conf import settings

    from mekiki.embedded import endpoints
    from mekiki.embedded.roles import connecting, rights
    from mekiki.embedded.versions import refuse_database_of_other_version

    running = endpoints.read(settings.HOME)
    running = replace(
        running,
        database_url=env.text("DATABASE_URL") or running.database_url,
        broker_url=settings.CELERY_BROKER_URL,
    )
    owner = connecting.owner_url(settings.HOME, running.database_url)
    endpoints.use_servers(replace(running, database_url=owner))
    if migrates:
        refuse_database_of_other_version()
    execute()
    if owner != running.database_url:
        application = connecting.role_of(running.database_url)
        rights.grant(owner, application=application, report=env.text("DATABASE_REPORT_ROLE"))
