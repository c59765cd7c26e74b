"""The purge of a deleted dataset: its files and everything that was computed from them."""

from typing import Any

from mekiki.datasets.models import Image
from mekiki.datasets.services import images_to_purge, purge_images, purge_imports, record_purge
from mekiki.jobs.models import Job
from mekiki.learning.models import Encoder
from mekiki.learning.services import delete_derived_data
from workers import embeddings
from workers.runner import Report

BATCH = 500


def run(job: Job, report: Report) -> dict[str, Any]:
    """Purge the dataset of the job. If the job is stopped, a later run continues."""
    dataset = job.dataset
    assert dataset is not None
    total = Image.objects.filter(dataset=dataset).count()
    report(stage="deleting files", done=0, total=total, unit="images")
    done = size = 0
    while images := images_to_purge(dataset, BATCH):
        delete_derived_data(dataset=dataset, image_ids=[image.pk for image in images])
        size += purge_images(dataset=dataset, images=images)
        done += len(images)
        report(done=done)
    for encoder in Encoder.objects.all():
        embeddings.delete_mirror(encoder, dataset)
    purge_imports(dataset=dataset)
    record_purge(dataset=dataset, removed={"images": done, "bytes": size})
    return {"images": done, "bytes": size}
