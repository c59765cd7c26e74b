"""Deletion of the images of an import that was taken back."""

from typing import Any

from mekiki.datasets.models import ImportBatch
from mekiki.datasets.services import run_undo
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import UndoImportPayload
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Delete the images in small transactions. A second run deletes what is left."""
    batch = ImportBatch.objects.select_related("dataset").get(pk=UndoImportPayload.of(job).batch)
    report(stage="deleting the images of the import", unit="images")
    return dict(
        run_undo(
            batch=batch,
            user=job.created_by,
            progress=lambda done, total: report(done=done, total=total, unit="images"),
        )
    )
