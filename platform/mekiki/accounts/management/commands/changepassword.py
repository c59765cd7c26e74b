"""Django's command `changepassword`, disabled: it would ignore the password rules and record no event."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _


class Command(BaseCommand):
    """A command that names the command to use instead."""

    help = "Not used here: “mekiki user-password NAME” sets a new password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Accept the arguments of Django's command."""
        parser.add_argument("username", nargs="?", default="")
        parser.add_argument("--database")

    def handle(self, *args: Any, **options: Any) -> None:
        """Raise CommandError in every case."""
        raise CommandError(
            _(
                "Nothing was changed. Use “mekiki user-password %(name)s”: it makes a password by the rules "
                "of the site, ends the sessions of the user and records it."
            )
            % {"name": options["username"] or "NAME"}
        )
