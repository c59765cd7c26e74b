"""Build an encoder's search index, beside the running system. A build that dies leaves nothing that is searched."""

from typing import Any

from mekiki.jobs.models import Job
from mekiki.learning.models import Encoder
from mekiki.learning.search import index
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Build the index of the encoder named in the payload, if it is missing or invalid."""
    encoder = Encoder.objects.filter(pk=job.payload.get("encoder")).first()
    if encoder is None:  # gone meanwhile
        return {"built": False}
    report(stage="building the search index", unit="images")
    built = index.build(encoder, report=lambda done, total: report(done=done, total=total))
    return {"built": built, "encoder": encoder.name}
