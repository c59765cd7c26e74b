"""The command `mekiki user-admin NAME`, which makes a user an admin, or no admin with --withdraw."""

from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _

from mekiki.accounts import services
from mekiki.accounts.commands import UserCommand


class Command(UserCommand):
    """A command for the case that no admin can log in, or that the wrong user is an admin.

    It records an event in the audit log.
    """

    help = "Give a user the rights of a platform admin, or remove them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments for the user and for the direction of the change."""
        super().add_arguments(parser)
        parser.add_argument("--withdraw", action="store_true", help="remove the rights of an admin")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the right and print the result. The last admin cannot be withdrawn."""
        user = self.find_user(options["name"])
        row = services.set_admin(user=user, is_admin=not options["withdraw"], actor=None)
        message = (
            _("%(name)s is an admin of the platform now.")
            if row.is_superuser
            else _("%(name)s is no admin of the platform any more.")
        )
        self.stdout.write(message % {"name": row.username})
