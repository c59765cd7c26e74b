"""An act on many images of the gallery, in steps."""

from typing import Any

from mekiki.jobs.models import Job
from mekiki.jobs.payloads import BulkActPayload
from mekiki.review.models import BulkAct
from mekiki.review.services import run_bulk_act
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Do the act that the payload names. If the job is stopped, a later run continues."""
    act = BulkAct.objects.get(pk=BulkActPayload.of(job).act, dataset=job.dataset_id)
    report(stage="acting on images", done=0, unit="images")
    act = run_bulk_act(act=act, report=lambda done: report(done=done))
    return {"changed": act.changed, "unchanged": act.unchanged, "left_out": act.left_out}
