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

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    source = models.CharField(max_length=10, choices=Source.choices)
    # An upload: the folder of this import under HOME/incoming. Otherwise the folder on the server.
    location = models.TextField(default="")
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
    # Bytes of an upload in HOME/incoming that are not yet imported or discarded.
    waiting_bytes = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"import {self.pk} of {self.dataset_id}"


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
