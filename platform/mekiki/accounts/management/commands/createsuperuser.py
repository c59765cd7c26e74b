"""The command `mekiki manage createsuperuser --username NAME`, which creates an admin of the platform."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mekiki.accounts import services


class Command(BaseCommand):
    """A replacement for Django's command, which accepts weak passwords and records no event."""

    help = (
        "Create an admin of the platform. The password is generated, printed once, and must be changed "
        "at the first login."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Accept the arguments of Django's command that have a meaning here."""
        parser.add_argument("--username", required=True, help="name of the admin")
        parser.add_argument("--email", default="", help="mail address")
        parser.add_argument("--noinput", "--no-input", action="store_false", dest="interactive")
        parser.add_argument("--database")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the password on standard output and the explanation on standard error."""
        password = services.generate_password()
        try:
            user = services.create_user(
                name=options["username"],
                password=password,
                is_admin=True,
                email=options["email"],
                must_change_password=True,
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        message = _("Password of %(name)s. It is shown this once and must be changed at the first login.")
        self.stderr.write(message % {"name": user.username})
        self.stdout.write(password)
