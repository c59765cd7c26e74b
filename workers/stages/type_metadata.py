"""Typed values of the metadata of all images, after the type of a field has changed."""

from typing import Any

from mekiki.datasets.importing.filling import fill_fields, scan_fields
from mekiki.datasets.models import MetadataField
from mekiki.datasets.quotas import dataset_usage
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import TypeMetadataPayload
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Write the values of the fields that are not complete, or read all fields. It may be repeated."""
    assert job.dataset is not None
    total = dataset_usage(job.dataset)["images"]
    report(stage="reading metadata", done=0, total=total, unit="images")
    work = scan_fields if TypeMetadataPayload.of(job).scan else fill_fields
    work(job.dataset, lambda done: report(done=min(done, total)))
    return {"fields": MetadataField.objects.filter(dataset=job.dataset).count()}
