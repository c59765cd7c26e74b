"""manage.py catalogues: update the message catalogues, or check that they are up to date."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mekiki.web import catalogues


class Command(BaseCommand):
    """Command that updates or checks the catalogues.

    It needs the dev extra (Babel, polib), not GNU gettext.
    """

    help = "Extract all messages, merge them into the catalogues and compile these; --check only reports."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; fail if a catalogue is not up to date or not complete",
        )
        parser.add_argument(
            "--from",
            dest="offered",
            type=Path,
            nargs="*",
            default=[],
            help="further .po files with translations",
        )
        parser.add_argument(
            "--prefer", action="store_true", help="translations of --from replace existing ones"
        )

    def handle(self, *args: Any, check: bool, offered: list[Path], prefer: bool, **options: Any) -> None:
        if not check:
            for language, missing in catalogues.update(offered, prefer_offered=prefer).items():
                self.stdout.write(f"{language}: {missing} not translated")
        wrong = catalogues.check()
        for line in wrong:
            self.stdout.write(line)
        if wrong and check:
            raise CommandError(
                f"{len(wrong)} faults. Run `manage.py catalogues`, then translate what is missing."
            )
