"""The command `mekiki verify FILE`: check a label set without a database, broker or network."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from mekiki.config.regular_files import read_regular
from mekiki.exports.machine_facts import machine_sentence
from mekiki.exports.messages import PROBLEMS
from verification.label_set.problems import Problem, VerifyReport
from verification.label_set.verify import verify
from verification.signing import fingerprint

UNREADABLE = 2


class Command(BaseCommand):
    """The command. Its exit status is 0 for a valid label set, 1 for an invalid one, 2 if unreadable."""

    help = "Check files, lineage and signature of a label set, without the platform."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Add FILE, --key and --json."""
        parser.add_argument("file", type=Path, help="the zip of a label set")
        parser.add_argument(
            "--key", type=Path, metavar="PEM", help="the public key it must be signed by, obtained elsewhere"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify the label set and print the result."""
        pinned = None
        if options["key"] is not None:
            try:
                pinned = read_regular(options["key"])
                fingerprint(pinned)
            except (OSError, ValueError) as error:
                raise CommandError(
                    _("The key %(path)s cannot be used: %(why)s") % {"path": options["key"], "why": error},
                    returncode=UNREADABLE,
                ) from None
        report = verify(options["file"], public_key=pinned)
        status = 0 if report.ok else 1
        if any(problem.code == "unreadable" for problem in report.problems):
            status = UNREADABLE
        if options["json"]:
            self._print_json(report)
            sys.exit(status)
        self._tell(report)
        if status == UNREADABLE:
            raise CommandError(f"{options['file']}: {_sentence(report.problems[0])}", returncode=UNREADABLE)
        if not report.ok:
            for problem in report.problems:
                self.stderr.write(self.style.ERROR("✗ " + _sentence(problem)))
            sys.exit(status)
        self.stdout.write(
            self.style.SUCCESS("✓ " + _("Files, lineage and signature are as they were signed."))
        )
        if pinned is None:
            self.stdout.write(
                _(
                    "Compare the key’s fingerprint with the one the platform shows, "
                    "or give the key with --key."
                )
            )

    def _print_json(self, report: VerifyReport) -> None:
        problems = [
            {"code": problem.code, "text": _sentence(problem), **problem.detail}
            for problem in report.problems
        ]
        answer = {"ok": report.ok, "problems": problems, **report.summary}
        self.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2))

    def _tell(self, report: VerifyReport) -> None:
        summary = report.summary
        if "counts" in summary:
            self.stdout.write(
                _("Label set %(version)s of %(dataset)s, frozen %(at)s by %(by)s")
                % {
                    "version": summary["version"],
                    "dataset": _plain(summary["dataset"]),
                    "at": _plain(summary["frozen_at"]),
                    "by": _plain(summary["frozen_by"]) or "Mekiki",
                }
            )
            self.stdout.write(
                _("%(human)s labels by people, %(machine)s by machine, %(images)s images") % summary["counts"]
            )
        if sentence := machine_sentence(summary.get("machine_labels")):
            self.stdout.write(_plain(sentence, 1000))
        if "fingerprint" in summary:
            self.stdout.write(_("Key: %(fingerprint)s") % summary)
        if "head" in summary:
            self.stdout.write(_("Its decisions are sealed up to %(head)s") % summary)


def _sentence(problem: Problem) -> str:
    """Return the sentence of a problem in the language of the terminal."""
    return PROBLEMS.render(problem.code, problem.detail)


def _plain(text: str, most: int = 200) -> str:
    """Return text of an unverified file without control characters, at most `most` characters long."""
    return "".join(c if c.isprintable() else "�" for c in text[:most])
