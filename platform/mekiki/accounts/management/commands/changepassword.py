"""Django's `changepassword`, refused: it obeys no rule of ours and records nothing."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _


class Command(BaseCommand):
    """Name the command that does it."""

    help = "Not used here: “mekiki user-password NAME” makes a new password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """As Django's."""
        parser.add_argument("username", nargs="?", default="")
        parser.add_argument("--database")

    def handle(self, *args: Any, **options: Any) -> None:
        """CommandError, always."""
        raise CommandError(
            _(
                "Nothing was changed. Use “mekiki user-password %(name)s”: it makes a password by the rules of the site, "
                "ends the sessions of the user and records it."
            )
            % {"name": options["username"] or "NAME"}
        )
