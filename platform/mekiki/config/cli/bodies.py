"""The Django commands that do the work behind `mekiki COMMAND`, and Django itself, loaded when needed."""

import importlib
from collections.abc import Sequence
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


def run_django(program: str, arguments: Sequence[str]) -> None:
    """Run one of Django's own commands."""
    load_django()
    from django.core.management import ManagementUtility

    ManagementUtility([program, *arguments]).execute()
