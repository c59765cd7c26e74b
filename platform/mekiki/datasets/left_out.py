"""Images that a job left out, with the reason, read from the result of the job."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from mekiki.datasets.models import Dataset, Image
from mekiki.datasets.problems import explain
from mekiki.jobs.models import Job

KILLS_WORKER, ORIGINAL_LOST = "kills_worker", "original_lost"


@dataclass
class SkippedImage:
    """An image and the reason why a job left it out, in the reader's language."""

    image: Image
    reason: str


def skipped_images_of(dataset: Dataset, jobs: Iterable[Job]) -> dict[Any, list[SkippedImage]]:
    """Return job id → the images that the job left out, for jobs of this dataset. Runs one query."""
    named = {job.pk: job.result["left_out"] for job in jobs if job.result.get("left_out")}
    wanted = {row["image"] for rows in named.values() for row in rows}
    images = Image.objects.filter(dataset=dataset).in_bulk(wanted) if wanted else {}
    return {
        pk: [SkippedImage(images[row["image"]], _reason(row)) for row in rows if row["image"] in images]
        for pk, rows in named.items()
    }


def _reason(row: dict[str, Any]) -> str:
    if row["code"] == KILLS_WORKER:
        return _("the worker ended unexpectedly, several times, while it read this image")
    if row["code"] == ORIGINAL_LOST:
        return _("the stored original is missing")
    return explain(row["code"], row.get("detail", {})).what
