"""Queries on datasets, images and imports."""

from django.db.models import Count, F, Q, QuerySet

from mekiki.datasets.importing.folders import Folder, from_location
from mekiki.datasets.models import Dataset, Image, ImportBatch, ImportProblem, PixelWindow, WatchedFolder
from mekiki.jobs.models import Job


def image_count(dataset: Dataset) -> int:
    """Return how many images the dataset has."""
    return Image.objects.filter(dataset=dataset).count()


def watched_folders(dataset: Dataset) -> list[WatchedFolder]:
    """Return the folders that are watched for a dataset, with their path as text (`shown_path`)."""
    watches = list(WatchedFolder.objects.filter(dataset=dataset, ended_at__isnull=True).order_by("pk"))
    for watch in watches:
        watch.shown_path = Folder(from_location(watch.location)).shown_path  # type: ignore[attr-defined]
    return watches


def imports_of(dataset: Dataset, limit: int = 20) -> list[ImportBatch]:
    """Return the latest imports, newest first, with the latest job as `.job` (None for an open upload)."""
    batches = list(dataset.imports.select_related("created_by").order_by("-pk")[:limit])
    keys = {f"import_images:{batch.pk}": batch for batch in batches}
    for batch in batches:
        batch.job = None  # type: ignore[attr-defined]
    for job in Job.objects.filter(dataset=dataset, key__in=keys).order_by("number"):
        keys[job.key].job = job  # type: ignore[attr-defined]
    return batches


def latest_job(batch: ImportBatch) -> Job | None:
    """Return the latest job of an import, or None."""
    return (
        Job.objects.filter(dataset=batch.dataset, key=f"import_images:{batch.pk}").order_by("-number").first()
    )


def problems_after(
    batch: ImportBatch, after: int = 0, limit: int = 100, outcome: str = ""
) -> QuerySet[ImportProblem]:
    """Return the next lines of an import's report, of one outcome or of all."""
    rows = batch.problems.filter(pk__gt=after).order_by("pk")
    return (rows.filter(outcome=outcome) if outcome else rows)[:limit]


def outcome_counts(batch: ImportBatch) -> dict[str, int]:
    """Return outcome → number of report lines. The counts are also right while the import runs."""
    rows = batch.problems.order_by().values_list("outcome").annotate(n=Count("pk"))
    return dict.fromkeys(ImportProblem.Outcome.values, 0) | dict(rows)


def windows_of(dataset: Dataset) -> list[PixelWindow]:
    """Return the pixel windows of a dataset.

    `.count`: images that are rendered by the window. `.stale`: the part of them that is rendered by earlier
    values.
    """
    return list(
        PixelWindow.objects.filter(dataset=dataset)
        .annotate(
            count=Count("images"),
            stale=Count("images", filter=~Q(images__window_version=F("version"))),
        )
        .order_by("camera", "sample")
    )


def images_to_rebuild(dataset: Dataset, window: PixelWindow | None) -> QuerySet[Image]:
    """Return the images of a window that are not rendered by its current values.

    Without a window: the images of versions before 0.2.
    """
    images = Image.objects.filter(dataset=dataset).order_by("pk")
    if window is None:
        return images.filter(has_display__isnull=True)
    return images.filter(window=window).exclude(window_version=window.version)
