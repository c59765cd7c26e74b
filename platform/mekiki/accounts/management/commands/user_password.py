"""The command `mekiki user-password NAME`, which sets a new password for a user who cannot log in.

It is for the case that no admin can help.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mekiki.accounts import services
from mekiki.accounts.selectors import user_named


class Command(BaseCommand):
    """A command that prints a new password, which must be changed at the next login.

    It records an event in the audit log.
    """

    help = "Set a new password for a user. It must be changed at the next login."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the argument for the user."""
        parser.add_argument("name", help="name of the user")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the password on standard output and the explanation on standard error."""
        user = user_named(options["name"])
        if user is None:
            raise CommandError(_("No user has this name. Nothing was changed."))
        password = services.generate_password()
        services.give_password(user=user, password=password, actor=None)
        message = _("New password of %(name)s. It is shown this once and must be changed at the next login.")
        self.stderr.write(message % {"name": user.username})
        self.stdout.write(password)
