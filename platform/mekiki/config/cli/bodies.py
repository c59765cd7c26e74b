"""The Django commands that do the work behind `mekiki COMMAND`, and Django itself, loaded when needed."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mekiki.config import env

if TYPE_CHECKING:
    from django.core.management.base import BaseCommand

# Command: the app that holds it.
BODIES = {
    "up": "embedded",
    "demo": "simulation",
    "import": "datasets",
    "replay": "simulation",
    "reset_second_factor": "accounts",
    "user_admin": "accounts",
    "user_password": "accounts",
    "retrain": "learning",
    "sweeper": "jobs",
    "verify": "exports",
}


def load_django() -> None:
    """Set Django up, speaking the language of the terminal."""
    import django
    from django.utils import translation

    env.use_settings()
    django.setup()
    translation.activate(env.terminal_language())


def body(name: str) -> "BaseCommand":
    """The Django command of this name."""
    load_django()
    module = importlib.import_module(f"mekiki.{BODIES[name]}.management.commands.{name}")
    command: BaseCommand = module.Command(no_color=not env.colour())
    return command


def run_body(name: str, options: dict[str, object]) -> None:
    """Run a Django command with options that click has read and checked."""
    body(name).execute(force_color=False, no_color=not env.colour(), skip_checks=True, verbosity=1, **options)


# Commands of Django that change tables: the application's role may not.
OF_THE_OWNER = frozenset({"migrate", "flush", "pgtrigger", "remove_stale_contenttypes"})


def run_django(program: str, arguments: Sequence[str]) -> None:
    """Run one of Django's own commands; those that change tables as the database's owner, where it can be reached."""
    load_django()
    from django.core.management import ManagementUtility

    command = ManagementUtility([program, *arguments])
    if arguments and arguments[0] in OF_THE_OWNER:
        _run_as_owner(command.execute)
    else:
        command.execute()


def _run_as_owner(execute: Callable[[], None]) -> None:
    from django.conf import settings

    from mekiki.embedded import endpoints
    from mekiki.embedded.roles import connecting, rights

    running = endpoints.read(settings.HOME)
    running = replace(
        running,
        database_url=env.text("DATABASE_URL") or running.database_url,
        broker_url=settings.CELERY_BROKER_URL,
    )
    owner = connecting.owner_url(settings.HOME, running.database_url)
    endpoints.connect(replace(running, database_url=owner))
    execute()
    if owner != running.database_url:
        application = connecting.role_of(running.database_url)
        rights.grant(owner, application=application, report=env.text("DATABASE_REPORT_ROLE"))
