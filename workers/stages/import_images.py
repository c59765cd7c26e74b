"""Storing of the files of an import."""

from typing import Any

from django.utils.translation import gettext_lazy

from mekiki.datasets.models import ImportBatch
from mekiki.datasets.services import examined_files_of, run_import
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import ImportImagesPayload
from mekiki.jobs.services import forget_deaths
from workers.errors import StageError
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Store the files. The import itself requests embeddings at its end."""
    batch = ImportBatch.objects.filter(pk=ImportImagesPayload.of(job).batch).first()
    if batch is None:
        raise StageError(
            gettext_lazy("This import was cancelled in the meantime. Images it had stored are kept.")
        )
    hand = examined_files_of(batch)
    if hand.just_set_aside:
        forget_deaths(job)
    begun = False

    def progress(done: int, total: int | None) -> None:
        nonlocal begun
        # An import that resumes begins with what is done already, which must not count for its rate.
        if not begun:
            begun = True
            report(stage="storing images", done=done, total=total or 0, unit="files")
        else:
            report(done=done, total=total or 0)

    batch = run_import(batch=batch, hand=hand, progress=progress)
    return {
        "batch": batch.pk,
        "added": batch.added,
        "duplicates": batch.duplicates,
        "rejected": batch.rejected,
    }
