"""Imports and the files that they did not take."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models.datasets import Dataset


class ImportBatch(models.Model):
    """One import of images: an upload, or a folder on the server."""

    class Source(models.TextChoices):
        UPLOAD = "upload", _("upload")
        FOLDER = "folder", _("folder on the server")
        MANIFEST = "manifest", _("manifest")  # sent through the browser
        LISTED = "listed", _("manifest on the server")
        BUCKET = "bucket", _("S3 bucket")
        WATCHED = "watched", _("watched folder")

    class LabelUse(models.TextChoices):
        """What happens with the labels that come with the images."""

        IGNORE = "ignore", _("Leave them out")
        COMPARE = "compare", _("Keep them for comparison")
        TRAIN = "train", _("Keep them and train heads on them")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    source = models.CharField(max_length=10, choices=Source.choices)
    # An upload, or a manifest that was sent: the folder of this import under HOME/incoming. A bucket: its
    # address (s3://bucket/prefix). Otherwise the path on the server.
    location = models.TextField(default="")
    # The folder that the paths of a manifest start from. Empty: its rows may only have addresses.
    root = models.TextField(default="", db_default="")
    # The name of the file or folder, for pages.
    title = models.TextField(default="", db_default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)
    added = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    # True: every page of a TIFF becomes an image. False: only the largest page.
    every_page = models.BooleanField(default=False)
    # Lines of the report by outcome. `rejected` counts the refused files.
    partly = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    noted = models.PositiveIntegerField(default=0)
    # Images of earlier imports whose metadata this import changed.
    metadata_changed = models.PositiveIntegerField(default=0)
    # Labels that come with the images: what happens with them, the name of their source, the column of a
    # table that has them (empty: a usual name), and whether the names of folders are labels.
    label_use = models.CharField(
        max_length=10, choices=LabelUse.choices, default=LabelUse.IGNORE, db_default=LabelUse.IGNORE
    )
    label_source = models.CharField(max_length=100, default="", db_default="")
    label_column = models.CharField(max_length=200, default="", db_default="")
    folder_labels = models.BooleanField(default=False, db_default=False)
    # Metadata from the file itself (EXIF), with or without the place, and from the path by a pattern.
    read_exif = models.BooleanField(default=False, db_default=False)
    keep_place = models.BooleanField(default=False, db_default=False)
    path_pattern = models.CharField(max_length=500, default="", db_default="")
    # A manifest or a bucket: the last entry that is finished, and the counts up to there. A later run goes on
    # after it.
    entries_done = models.PositiveBigIntegerField(default=0, db_default=0)
    entries_taken = models.PositiveBigIntegerField(default=0, db_default=0)
    entries_refused = models.PositiveBigIntegerField(default=0, db_default=0)
    # When an admin took the whole import back. Its images are deleted, its report is kept.
    undone_at = models.DateTimeField(null=True)
    # Bytes of an upload in HOME/incoming that are not yet imported or discarded.
    waiting_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(label_use__in=["ignore", "compare", "train"]), name="label_use_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(label_use="ignore") | ~models.Q(label_source=""),
                name="imported_labels_have_a_source",
            ),
        ]

    def __str__(self) -> str:
        return f"import {self.pk} of {self.dataset_id}"

    @property
    def waits_here(self) -> bool:
        """Return whether its files wait in HOME/incoming until they are imported."""
        return self.source in {self.Source.UPLOAD, self.Source.MANIFEST}

    @property
    def takes_labels(self) -> bool:
        """Return whether labels that come with the images are kept."""
        return self.label_use != self.LabelUse.IGNORE


class ImportProblem(models.Model):
    """One line of an import's report. `code` is a code of messages.PROBLEMS, `detail` its values."""

    class Outcome(models.TextChoices):
        """The result for the file. `ImportBatch.rejected` counts only REFUSED."""

        REFUSED = "refused", _("Not imported")
        PARTLY = "partly", _("Imported in part")
        SKIPPED = "skipped", _("Ignored")
        NOTED = "noted", _("Imported, with a note")

    batch = models.ForeignKey(ImportBatch, on_delete=models.CASCADE, related_name="problems")
    name = models.TextField()
    code = models.CharField(max_length=40)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.REFUSED)
    detail = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "name", "code"], name="one_problem_per_file"),
            models.CheckConstraint(
                condition=models.Q(outcome__in=["refused", "partly", "skipped", "noted"]),
                name="import_outcome_is_known",
            ),
        ]
        indexes = [models.Index(fields=["batch", "outcome", "id"], name="problem_by_outcome")]

    def __str__(self) -> str:
        return f"{self.name}: {self.code}"
