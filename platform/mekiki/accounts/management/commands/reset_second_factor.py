"""The command `mekiki reset-second-factor NAME`, which removes the second factors of a user.

It is for an admin who has lost phone, key and recovery codes when no other admin can help.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mekiki.accounts.second_factor import services
from mekiki.accounts.selectors import user_named


class Command(BaseCommand):
    """A command that removes the second factors of one user and records it in the audit log."""

    help = "Remove the authenticator app, the passkeys and the recovery codes of a user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the argument for the user."""
        parser.add_argument("name", help="name of the user")

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove the second factors and print the result."""
        user = user_named(options["name"])
        if user is None:
            raise CommandError(_("No user has this name. Nothing was changed."))
        if services.reset(user=user, actor=None, source="command"):
            message = _("The second factors of %(name)s were removed. Logins no longer need a second step.")
        else:
            message = _("%(name)s has no second factor. Nothing was changed.")
        self.stdout.write(message % {"name": user.username})
