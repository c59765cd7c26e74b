"""Writing of a label set."""

from typing import Any

from django.utils.translation import gettext_lazy

from mekiki.exports.models import LabelSet
from mekiki.exports.writing import write_label_set
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import FreezePayload
from workers.errors import StageError
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Write the label set that the payload names."""
    label_set = LabelSet.objects.filter(pk=FreezePayload.of(job).label_set).first()
    if label_set is None:
        raise StageError(gettext_lazy("The label set to freeze does not exist."))
    report(stage="writing the label set", unit="labels")
    write_label_set(
        label_set=label_set,
        progress=lambda done, total: report(done=done, total=total or 0, unit="labels"),
    )
    label_set.refresh_from_db()
    return {"label_set": label_set.version, "size": label_set.size, "sha256": label_set.sha256}
