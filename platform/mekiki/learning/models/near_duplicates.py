"""Groups of near-duplicates: images whose embeddings have a cosine of at least a threshold."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from mekiki.datasets.models import Dataset, Image
from mekiki.learning.models.encoders import Encoder


class NearDuplicateSurvey(models.Model):
    """What several thresholds would give: numbers of groups and images, and example pairs.

    A worker replaces the survey of a dataset. Pages only render it.
    """

    dataset = models.OneToOneField(Dataset, on_delete=models.CASCADE, related_name="near_duplicate_survey")
    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE, related_name="+")
    images = models.PositiveBigIntegerField()  # the newest images of the dataset, which were compared
    total = models.PositiveBigIntegerField()  # embedded images of the dataset
    levels = models.JSONField()  # format: learning.near_duplicates.SurveyLevel
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"survey of {self.dataset_id}"


class NearDuplicateGrouping(models.Model):
    """A threshold that an admin chose, and whether its groups are in use.

    The groups of a new threshold are in use once a worker has stored them. Those of the previous threshold
    are then deleted, and its row stays as a record.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="near_duplicate_groupings")
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT, related_name="+")
    threshold = models.FloatField()  # lowest cosine with the first image of a group
    # Heads are not trained on images whose group contains an image of the audit reserve.
    leave_out = models.BooleanField(default=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    images = models.PositiveBigIntegerField(default=0)  # grouped or alone
    groups = models.PositiveBigIntegerField(default=0)  # with at least two images
    members = models.PositiveBigIntegerField(default=0)  # images of these groups
    grouped_at = models.DateTimeField(null=True)  # when a worker last stored groups
    ended_at = models.DateTimeField(null=True)  # replaced by another threshold, or no longer used

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(threshold__gt=0, threshold__lte=1),
                name="near_duplicate_threshold_in_range",
            ),
            models.UniqueConstraint(
                fields=["dataset"],
                condition=models.Q(grouped_at__isnull=False, ended_at__isnull=True),
                name="one_grouping_in_use",
            ),
            models.UniqueConstraint(
                fields=["dataset"],
                condition=models.Q(grouped_at__isnull=True, ended_at__isnull=True),
                name="one_grouping_under_way",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.threshold}"


class GroupedImage(models.Model):
    """An image with the first image of its group. An image without near-duplicates is its own first image."""

    pk = models.CompositePrimaryKey("grouping_id", "image_id")
    grouping = models.ForeignKey(NearDuplicateGrouping, on_delete=models.CASCADE, db_index=False)
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="near_duplicate_rows")
    first = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+", db_index=False)
    cosine = models.FloatField()  # with the first image; 1 for the first image itself

    class Meta:
        indexes = [
            models.Index(fields=["first", "image"], name="image_by_first"),
            # The images of groups of two or more, without the first images.
            models.Index(
                fields=["grouping", "first"],
                condition=~models.Q(first=models.F("image")),
                name="near_duplicate_of_first",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image_id} in {self.first_id}"
