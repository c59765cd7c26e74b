"""The command `mekiki retrain`.

`mekiki retrain SLUG` trains a new head and waits for the result. `mekiki retrain --verify HEAD` trains an
existing head again from its own inputs and compares the digests.
"""

import re
import time
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mekiki.datasets.access import dataset_at
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, Job, State
from mekiki.learning.models import Head, TrainingRun
from mekiki.learning.reasons import sentence
from mekiki.learning.repeating import DIFFERENT, SAME
from mekiki.learning.repeating import sentence as came_of
from mekiki.learning.services import request_training, request_verification

# Exit statuses of --verify, as of cmp(1). Status 0 means the same digest.
OTHER_DIGEST, NOT_COMPARED = 1, 2
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


class Command(BaseCommand):
    """Retrain a dataset's head, or repeat the training of a head. A worker must be running (mekiki up)."""

    help = (
        "Train a new head of a dataset and show whether it was promoted, and why. With --verify: train an "
        "existing head again from its inputs and compare the digests; exit status 0 for the same digest, 1 "
        "for another, 2 if they cannot be compared. With --verify no head is stored."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments: the dataset, a head to verify, and whether to wait."""
        parser.add_argument("slug", nargs="?", default="", help="the dataset's address, as in /d/SLUG/")
        parser.add_argument(
            "--verify",
            metavar="HEAD",
            help="repeat the training of this head: its version (with SLUG), or its digest or the "
            "beginning of it (8 digits or more)",
        )
        parser.add_argument("--no-wait", action="store_true", help="request it and return at once")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command. The exit status is 0 if the run succeeded, whether or not the head is promoted.

        The exit statuses of --verify are described in `help`.
        """
        if options["verify"] is not None:
            self._verify(options["slug"], options["verify"].strip().lower().removeprefix("#"), options)
            return
        if not options["slug"]:
            raise CommandError(_("Which dataset? Give its address: mekiki retrain SLUG."))
        dataset = _dataset(options["slug"])
        try:
            run = request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if options["no_wait"]:
            self.stdout.write(_("Requested. The models page shows the result."))
            return
        job = run.job
        if job is not None:
            self._wait(job)
        run.refresh_from_db()
        if run.finished_at is None:
            raise CommandError(job.error if job is not None and job.error else _("The run did not finish."))
        outcome = _("promoted") if run.promoted else _("head in use stays")
        version = f"#{run.head.version}, " if run.head is not None else ""
        self.stdout.write(f"{version}{outcome}. {sentence(run.reason)}")

    def _verify(self, slug: str, wanted: str, options: dict[str, Any]) -> None:
        head = _head(slug, wanted)
        job = request_verification(dataset=head.dataset, head=head)
        if options["no_wait"]:
            self.stdout.write(_("Requested. The page of the head shows the result."))
            return
        self._wait(job)
        if job.state != State.SUCCEEDED:
            raise CommandError(
                job.error or _("The training was not repeated: the job was stopped."), returncode=NOT_COMPARED
            )
        result = f"{head.dataset.slug} #{head.version}: {came_of(job.result)}"
        if job.result.get("outcome") != SAME:
            different = job.result.get("outcome") == DIFFERENT
            raise CommandError(result, returncode=OTHER_DIGEST if different else NOT_COMPARED)
        self.stdout.write(result)

    def _wait(self, job: Job) -> None:
        """Wait until the job has ended, and print each new stage."""
        shown = ""
        while True:
            job.refresh_from_db()
            if job.state not in ACTIVE_STATES:
                return
            now = _(job.stage) if job.stage else str(State(job.state).label)
            if now != shown:
                self.stdout.write(f"… {now}")
                shown = now
            time.sleep(0.5)


def _dataset(slug: str, returncode: int = 1) -> Dataset:
    dataset = dataset_at(slug)
    if dataset is None:
        raise CommandError(_("There is no dataset “%(slug)s”.") % {"slug": slug}, returncode=returncode)
    return dataset


def _head(slug: str, wanted: str) -> Head:
    """Return the head with this version or digest. Raises CommandError if there is none or more than one."""
    heads = Head.objects.filter(dataset__archived_at__isnull=True).select_related("dataset").defer("weights")
    if slug:
        heads = heads.filter(dataset=_dataset(slug, NOT_COMPARED))
        if wanted.isdecimal() and len(wanted) < 10:
            head = heads.filter(version=int(wanted)).first()
            if head is not None:
                return head
    elif wanted.isdecimal() and len(wanted) < 8:
        raise CommandError(
            _("Version %(version)s of which dataset? mekiki retrain SLUG --verify %(version)s")
            % {"version": wanted},
            returncode=NOT_COMPARED,
        )
    named = list(heads.filter(digest__startswith=wanted)[:2]) if _DIGEST.fullmatch(wanted) else []
    if len(named) == 1:
        return named[0]
    if named:
        raise CommandError(
            _("More than one head has this digest. Name the dataset and the version: SLUG --verify VERSION."),
            returncode=NOT_COMPARED,
        )
    raise CommandError(_("There is no head “%(head)s”.") % {"head": wanted}, returncode=NOT_COMPARED)
