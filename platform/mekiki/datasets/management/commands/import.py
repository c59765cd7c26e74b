"""mekiki import SLUG PATH: import a folder, a zip, a manifest or a file from the server's disk."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from tqdm import tqdm

from mekiki.accounts.selectors import user_named
from mekiki.datasets.access import dataset_at
from mekiki.datasets.models import ImportBatch
from mekiki.datasets.options import ImportOptions
from mekiki.datasets.problems import explain
from mekiki.datasets.report_text import report_text
from mekiki.datasets.selectors import problems_after
from mekiki.datasets.services import import_bucket, import_folder
from mekiki.jobs.models import ACTIVE_STATES, Job, State
from mekiki.jobs.payloads import ImportImagesPayload

POLL_SECONDS = 0.3
# After this time in the queue, the command warns that no worker seems to run.
PATIENCE_SECONDS = 15
SHOWN_PROBLEMS = 50
PARTLY = 3


class Command(BaseCommand):
    """Import files from the server's disk.

    Exit status: 0 if every file was accepted, 3 if some files were refused or accepted only in part, 1 if the
    import failed or was cancelled.
    """

    help = "Import a folder, zip, manifest or image from the server's disk into the dataset at /d/SLUG/."

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the arguments of the command."""
        parser.add_argument("slug", help="address of the dataset")
        parser.add_argument(
            "path", help="folder, zip, manifest or image that the worker can read, or s3://bucket/prefix"
        )
        parser.add_argument(
            "--wait", action="store_true", help="show progress, and each file that was not imported"
        )
        parser.add_argument(
            "--every-page",
            action="store_true",
            help="every page of a TIFF becomes an image, not only the largest",
        )
        parser.add_argument(
            "--labels",
            choices=ImportBatch.LabelUse.values,
            default=ImportBatch.LabelUse.IGNORE,
            help="labels that come with the images: leave them out, compare, or train heads on them",
        )
        parser.add_argument("--label-source", default="", help="name under which these labels are shown")
        parser.add_argument("--label-column", default="", help="column of a table that has the labels")
        parser.add_argument(
            "--labels-from-folders", action="store_true", help="the names of the folders are labels"
        )
        parser.add_argument(
            "--exif", action="store_true", help="read capture metadata of the camera, without the place"
        )
        parser.add_argument("--place", action="store_true", help="with --exif: also keep the place")
        parser.add_argument(
            "--path-pattern", default="", help="metadata from the path, such as {line}/{camera}/{date}_{*}"
        )
        parser.add_argument("--user", default="", help="name of the user it is recorded under")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, slug: str, path: str, wait: bool, user: str, **options: Any) -> None:
        """Start the import and, with --wait, report its result."""
        dataset = dataset_at(slug)
        if dataset is None:
            raise CommandError(_("There is no dataset at /d/%(slug)s/.") % {"slug": slug})
        actor = user_named(user) if user else None
        if user and actor is None:
            raise CommandError(_("There is no user “%(name)s”.") % {"name": user})
        try:
            if path.startswith("s3://"):
                job = import_bucket(dataset=dataset, address=path, user=actor, options=_options(options))
            else:
                job = import_folder(dataset=dataset, path=path, user=actor, options=_options(options))
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except PermissionDenied as error:
            raise CommandError(str(error)) from None
        if not wait and options["json"]:
            self._print_json(
                {"state": job.state, "job": str(job.pk), "import": ImportImagesPayload.of(job).batch}
            )
            return
        if not wait:
            self.stdout.write(_("The import is queued. Its progress: /d/%(slug)s/activity/") % {"slug": slug})
            return
        try:
            job = self._watch(job)
        except KeyboardInterrupt:
            self.stderr.write(
                _("The command stops watching; the import continues. Its progress: /d/%(slug)s/activity/")
                % {"slug": slug}
            )
            sys.exit(130)
        self._report(job, as_json=options["json"])

    def _watch(self, job: Job) -> Job:
        begun = time.monotonic()
        warned = False
        with tqdm(unit=" files", disable=None, file=sys.stderr) as bar:
            while job.state in ACTIVE_STATES:
                if job.state == State.QUEUED and not warned and time.monotonic() - begun > PATIENCE_SECONDS:
                    warned = True
                    bar.write(
                        _("Still waiting for a worker. Is the platform running (mekiki up)?"), file=sys.stderr
                    )
                time.sleep(POLL_SECONDS)
                job.refresh_from_db()
                bar.total = job.total or None
                bar.update(job.done - bar.n)
        return job

    def _report(self, job: Job, *, as_json: bool) -> None:
        batch = ImportBatch.objects.get(pk=ImportImagesPayload.of(job).batch)
        if as_json:
            self._print_json(
                {
                    "state": job.state,
                    "job": str(job.pk),
                    "import": batch.pk,
                    "added": batch.added,
                    "duplicates": batch.duplicates,
                    "rejected": batch.rejected,
                    "partly": batch.partly,
                    "metadata_changed": batch.metadata_changed,
                    "report": list(self._lines(batch)),
                }
            )
        if job.state != State.SUCCEEDED:
            raise CommandError(
                _("The import ended early (%(state)s). Images stored so far are kept. %(error)s")
                % {"state": State(job.state).label, "error": job.error}
            )
        if as_json:
            sys.exit(PARTLY if batch.rejected or batch.partly else 0)
        self.stdout.write(
            _("%(added)d added, %(duplicates)d duplicates, %(rejected)d not imported.")
            % {"added": batch.added, "duplicates": batch.duplicates, "rejected": batch.rejected}
        )
        if batch.metadata_changed:
            self.stdout.write(
                _("Metadata of known images changed: %(count)d.") % {"count": batch.metadata_changed}
            )
        for line in report_text(batch, SHOWN_PROBLEMS):
            self.stdout.write(line)
        if batch.rejected or batch.partly:
            sys.exit(PARTLY)

    def _print_json(self, answer: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2))

    def _lines(self, batch: ImportBatch) -> Iterator[dict[str, str]]:
        """Yield all lines of the report in order."""
        after = 0
        while page := list(problems_after(batch, after=after, limit=1000)):
            for problem in page:
                text = explain(problem.code, problem.detail)
                yield {
                    "name": problem.name,
                    "outcome": problem.outcome,
                    "code": problem.code,
                    "what": str(text.what),
                    "advice": str(text.advice),
                }
            after = page[-1].pk


def _options(given: dict[str, Any]) -> ImportOptions:
    return ImportOptions(
        every_page=given["every_page"],
        label_use=given["labels"],
        label_source=given["label_source"],
        label_column=given["label_column"],
        folder_labels=given["labels_from_folders"],
        read_exif=given["exif"],
        keep_place=given["place"],
        path_pattern=given["path_pattern"],
    )
