"""Gold images: images whose label is known, and which measure the reviewers."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import fixed_columns, no_delete, set_by_database
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label


class GoldImage(models.Model):
    """An image with a known label. Reviewers are asked about it unseen, to measure their accuracy.

    A row never changes, except that an admin ends it once.
    """

    class Source(models.TextChoices):
        """Why the label is known."""

        RULING = "ruling", _("adjudicated")
        AGREEMENT = "agreement", _("several reviewers agreed")
        EXPERT = "expert", _("confirmed by an admin")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="gold_images")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="gold_images")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    source = models.CharField(max_length=10, choices=Source.choices)
    # The decision that set the confirmed label when the image became a gold image.
    decision = models.ForeignKey("review.Decision", on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["image"], condition=models.Q(ended_at__isnull=True), name="one_gold_label_per_image"
            ),
            models.CheckConstraint(
                condition=models.Q(source__in=["ruling", "agreement", "expert"]), name="gold_source_is_known"
            ),
        ]
        indexes = [models.Index(fields=["dataset", "-id"], name="gold_of_dataset")]
        triggers = [
            *no_delete(),
            fixed_columns("dataset", "image", "label", "source", "decision", "created_by", "created_at"),
            pgtrigger.Protect(
                name="ended_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__ended_at__isnull=False),
            ),
            set_by_database("created_at"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.label_id}"
