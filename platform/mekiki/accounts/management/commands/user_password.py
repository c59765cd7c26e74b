"""The command `mekiki user-password NAME`, which sets a new password for a user who cannot log in.

It is for the case that no admin can help.
"""

from typing import Any

from django.utils.translation import gettext as _

from mekiki.accounts import services
from mekiki.accounts.commands import UserCommand


class Command(UserCommand):
    """A command that prints a new password, which must be changed at the next login.

    It records an event in the audit log.
    """

    help = "Set a new password for a user. It must be changed at the next login."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the password on standard output and the explanation on standard error."""
        user = self.find_user(options["name"])
        password = services.generate_password()
        services.reset_password(user=user, password=password, actor=None)
        message = _("New password of %(name)s. It is shown this once and must be changed at the next login.")
        self.stderr.write(message % {"name": user.username})
        self.stdout.write(password)
