"""One scan of a watched folder."""

from typing import Any

from mekiki.datasets.models import WatchedFolder
from mekiki.datasets.services import scan_watched_folder
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import WatchFolderPayload
from workers.runner import Report


def run(job: Job, report: Report) -> dict[str, Any]:
    """Scan the folder, and start an import if files have settled."""
    report(stage="scanning the folder")
    watch = WatchedFolder.objects.select_related("dataset").get(pk=WatchFolderPayload.of(job).watch)
    return scan_watched_folder(watch)
