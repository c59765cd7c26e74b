"""`mekiki retrain SLUG`: ask for a new head, and wait for what comes of it."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import ACTIVE_STATES, State
from mekiki.learning.models import TrainingRun
from mekiki.learning.reasons import sentence
from mekiki.learning.services import request_training


class Command(BaseCommand):
    """Retrain a dataset's head; a worker must be running (mekiki up)."""

    help = "Train a new head of a dataset and say whether it is used, and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The dataset, and whether to wait."""
        parser.add_argument("slug", help="the dataset's address, as in /d/SLUG/")
        parser.add_argument("--no-wait", action="store_true", help="ask for it and return at once")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit status 0 when the run ended well, whether or not the head is used."""
        dataset = Dataset.objects.filter(slug=options["slug"], archived_at__isnull=True).first()
        if dataset is None:
            raise CommandError(_("There is no dataset “%(slug)s”.") % {"slug": options["slug"]})
        try:
            run = request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if options["no_wait"]:
            self.stdout.write(_("Asked for. The models page shows what comes of it."))
            return
        job, said = run.job, ""
        while job is not None:
            job.refresh_from_db()
            if job.state not in ACTIVE_STATES:
                break
            now = _(job.stage) if job.stage else str(State(job.state).label)
            if now != said:
                self.stdout.write(f"… {now}")
                said = now
            time.sleep(0.5)
        run.refresh_from_db()
        if run.finished_at is None:
            raise CommandError(job.error if job is not None and job.error else _("The run did not finish."))
        outcome = _("put in use") if run.promoted else _("head in use stays")
        version = f"#{run.head.version}, " if run.head is not None else ""
        self.stdout.write(f"{version}{outcome}. {sentence(run.reason)}")
