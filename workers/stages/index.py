"""Building of an encoder's search index while the system runs.

Search does not use an incomplete index.
"""

from typing import Any

from django.utils.translation import gettext_lazy

from mekiki.jobs.models import Job
from mekiki.jobs.payloads import IndexPayload
from mekiki.learning.models import Encoder
from mekiki.learning.search import index
from mekiki.learning.search.keeper import BuildError, NoKeeperError
from workers.errors import StageError
from workers.runner import Report

NO_BUILDER = gettext_lazy(
    "No process builds search indexes. Search works without the index but is slower. Start “mekiki "
    "up” with the connection of the database's owner (DATABASE_OWNER_URL, "
    "docs/how-to/database-roles.md), then start this job again."
)
NOT_BUILT = gettext_lazy(
    "The database could not build the search index (%(why)s). Search works without the index but is "
    "slower. Fix the cause, then start this job again."
)


def run(job: Job, report: Report) -> dict[str, Any]:
    """Build the index of the encoder named in the payload, if it is missing or invalid."""
    encoder = Encoder.objects.filter(pk=IndexPayload.of(job).encoder).first()
    if encoder is None:  # deleted meanwhile
        return {"built": False}
    report(stage="building the search index", unit="images")
    try:
        built = index.build(encoder, report=lambda done, total: report(done=done, total=total))
    except NoKeeperError:
        raise StageError(NO_BUILDER) from None
    except BuildError as error:
        raise StageError(NOT_BUILT, {"why": str(error)}) from None
    return {"built": built, "encoder": encoder.name}
