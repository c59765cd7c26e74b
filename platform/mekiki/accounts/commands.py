"""The base of the commands that change one user."""

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mekiki.accounts.models import User
from mekiki.accounts.selectors import user_named


class UserCommand(BaseCommand):
    """A command with the name of a user as its argument."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the argument for the user."""
        parser.add_argument("name", help="name of the user")

    def find_user(self, name: str) -> User:
        """Return the user with this name. Raises CommandError if no user has it."""
        user = user_named(name)
        if user is None:
            raise CommandError(_("No user has this name. Nothing was changed."))
        return user
