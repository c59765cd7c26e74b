"""The command `mekiki reset-second-factor NAME`, which removes the second factors of a user.

It is for an admin who has lost phone, key and recovery codes when no other admin can help.
"""

from typing import Any

from django.utils.translation import gettext as _

from mekiki.accounts.commands import UserCommand
from mekiki.accounts.second_factor import services


class Command(UserCommand):
    """A command that removes the second factors of one user and records it in the audit log."""

    help = "Remove the authenticator app, the passkeys and the recovery codes of a user."

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove the second factors and print the result."""
        user = self.find_user(options["name"])
        if services.reset(user=user, actor=None, source="command"):
            message = _("The second factors of %(name)s were removed. Logins no longer need a second step.")
        else:
            message = _("%(name)s has no second factor. Nothing was changed.")
        self.stdout.write(message % {"name": user.username})
