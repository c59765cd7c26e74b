"""Files of buckets and watched folders that were seen, so that the next import takes only new ones."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from mekiki.datasets.models.datasets import Dataset
from mekiki.datasets.models.imports import ImportBatch


class SeenFile(models.Model):
    """A file of a bucket or a watched folder, as it was when it was last seen.

    `mark` changes with the content: the ETag of an object, or size and time of a file. A file of a watched
    folder is taken when two scans see the same mark, because it may still be written before.
    """

    class State(models.TextChoices):
        SEEN = "seen"
        SETTLED = "settled"
        TAKEN = "taken"

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="seen_files")
    place = models.CharField(max_length=500)  # the bucket or the folder, as in ImportBatch.location
    name = models.TextField()
    mark = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.SEEN)
    # The import that took the file. If the import is taken back, the row is deleted with its images.
    batch = models.ForeignKey(ImportBatch, null=True, on_delete=models.CASCADE, related_name="seen_files")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "place", "name"], name="one_row_per_seen_file"),
            models.CheckConstraint(
                condition=models.Q(state__in=["seen", "settled", "taken"]), name="seen_state_is_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class WatchedFolder(models.Model):
    """A folder of the server whose new files are imported as they settle."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="watched_folders")
    location = models.CharField(max_length=500)  # see importing.folders.to_location
    minutes = models.PositiveIntegerField(default=5)  # between two scans
    options = models.JSONField(default=dict)  # of datasets.options.ImportOptions, as they were chosen
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    scanned_at = models.DateTimeField(null=True)
    problem = models.TextField(default="")  # why the last scan could not read the folder
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "location"],
                condition=models.Q(ended_at__isnull=True),
                name="one_watch_per_folder",
            ),
            models.CheckConstraint(
                condition=models.Q(minutes__gte=1, minutes__lte=1440), name="watch_minutes_in_range"
            ),
        ]

    def __str__(self) -> str:
        return self.location
