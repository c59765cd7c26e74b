"""Reference images of labels."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from mekiki.datasets.models import Image
from mekiki.labeling.models import Label


class ReferenceImage(models.Model):
    """An image that shows what a label includes (accepted), or what it does not include (rejected)."""

    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="reference_images")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="reference_of")
    accepted = models.BooleanField()
    note = models.CharField(max_length=200, blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-accepted", "id"]
        constraints = [
            models.UniqueConstraint(fields=["label", "image"], name="one_reference_per_label_and_image")
        ]

    def __str__(self) -> str:
        return f"{self.label_id}: {self.image_id}"
