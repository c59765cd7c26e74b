"""Labels that came with imported images. They are no answers of reviewers."""

import pgtrigger
from django.db import models
from django.db.models.functions import Now

from mekiki.audit.triggers import no_truncate, set_by_database
from mekiki.datasets.models import Image, ImportBatch
from mekiki.labeling.models import Label


class ImportedName(models.Model):
    """A name of a label in the files of one import, with the label of the schema that it stands for.

    `label` is null until the schema has a label of this name or an admin chooses one.
    """

    batch = models.ForeignKey(ImportBatch, on_delete=models.CASCADE, related_name="label_names")
    text = models.CharField(max_length=200)
    label = models.ForeignKey(Label, null=True, on_delete=models.SET_NULL, related_name="imported_names")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "text"], name="one_name_per_import")]

    def __str__(self) -> str:
        return self.text


class ImportedLabel(models.Model):
    """A label that the files of an import give an image. The row is never changed.

    It is shown with the name of its source and is a decision of nobody: agreement, accuracy and audits do not
    read it. A head may be trained on it if the import says so (ImportBatch.label_use).
    """

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="imported_labels")
    name = models.ForeignKey(ImportedName, on_delete=models.CASCADE, related_name="labels")
    author = models.CharField(max_length=200, default="")  # as the file names a person or a model
    predicted = models.BooleanField(default=False)  # a model of another tool gave it
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["image", "name", "author", "predicted"], name="imported_label_once"
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="no_update", operation=pgtrigger.Update),
            no_truncate(),
            set_by_database("created_at"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.name_id}"
