"""Storage use and its limits."""

from django.db import models

from mekiki.datasets.models.datasets import Dataset


class DatasetUsage(models.Model):
    """The number of images and bytes that a dataset stores.

    Only triggers on the table of images write it (quota_triggers), so that it is always right.
    """

    dataset = models.OneToOneField(Dataset, primary_key=True, on_delete=models.CASCADE, related_name="usage")
    images = models.PositiveBigIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)  # of the files as they were imported

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.images} images"


class PlatformQuota(models.Model):
    """Limits of what all datasets store together. There is at most one row. Null means no limit."""

    ONLY = 1

    max_images = models.PositiveBigIntegerField(null=True, blank=True)
    max_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(pk=1), name="one_row_of_platform_quota"),
            models.CheckConstraint(
                condition=~models.Q(max_images=0) & ~models.Q(max_bytes=0),
                name="platform_limits_are_not_zero",
            ),
        ]

    def __str__(self) -> str:
        return f"at most {self.max_images} images, {self.max_bytes} bytes"
