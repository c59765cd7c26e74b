"""Images, their names, and pixel windows."""

from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Left, Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import fixed_columns, no_truncate
from mekiki.datasets.models.datasets import Dataset
from mekiki.datasets.models.imports import ImportBatch
from mekiki.datasets.quota_triggers import usage_triggers


class PixelWindow(models.Model):
    """The pixel values of deep images that are shown as black and as white.

    Deep images have more than 8 bits, signed values or float values. A dataset has one window for each camera
    and type of values, so that pictures of one camera stay comparable.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="windows")
    camera = models.CharField(
        max_length=200, default="", blank=True
    )  # from the metadata; empty: the metadata names no camera
    sample = models.CharField(max_length=10)  # NumPy's name of the type: "uint16", "float32"
    black = models.FloatField(_("black"))
    white = models.FloatField(_("white"))
    estimated_from = models.PositiveIntegerField(default=0)  # images; 0: set by a person
    version = models.PositiveIntegerField(default=1)  # raised with each change
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "camera", "sample"], name="one_window_per_group"),
            models.CheckConstraint(
                condition=~models.Q(black=models.F("white")), name="window_black_is_not_white"
            ),
        ]

    def __str__(self) -> str:
        return f"window {self.camera or '-'} {self.sample} of {self.dataset_id}"


class Image(models.Model):
    """One stored file, addressed by its SHA-256 within a dataset."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="images")
    sha256 = models.CharField(max_length=64)
    name = models.TextField()  # path or file name as sent; only for display, never used as a path
    format = models.CharField(max_length=10)  # "JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size = models.PositiveBigIntegerField()  # bytes
    metadata = models.JSONField(default=dict)  # line, camera, lot, shift …: text → text
    # Uniform in [0, 1), from the dataset's seed and the SHA-256. Values below audit_fraction: the audit
    # reserve.
    audit_key = models.FloatField()
    # The index image_of_import begins with it.
    batch = models.ForeignKey(ImportBatch, null=True, on_delete=models.SET_NULL, db_index=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # The window by which its pixels were rendered. Null for images of 8 bits.
    window = models.ForeignKey(
        PixelWindow, null=True, on_delete=models.SET_NULL, related_name="images", db_index=False
    )
    window_version = models.PositiveIntegerField(default=0)  # of the window at that time
    # True: the display file replaces the original wherever the picture is shown or embedded. Null: stored by
    # a version before 0.2, which used other rules for display files.
    has_display = models.BooleanField(null=True)
    # Raised each time thumbnail and display file are rendered again, so that browsers load them again.
    rendition = models.PositiveIntegerField(default=0)
    # What a page may show of the image, set by review.blinding.hide. Not columns.
    hidden: bool
    shown_name: str
    shown_metadata: dict[str, Any]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "sha256"], name="one_image_per_content"),
            models.CheckConstraint(
                condition=models.Q(audit_key__gte=0, audit_key__lt=1), name="audit_key_in_range"
            ),
        ]
        indexes = [
            models.Index(fields=["dataset", "id"], name="image_of_dataset"),
            models.Index(
                fields=["window", "window_version"],
                condition=models.Q(window__isnull=False),
                name="image_of_window",
            ),
            # A count of the audit reserve reads only this index.
            models.Index(fields=["dataset", "audit_key", "id"], name="image_by_audit_key"),
            # Filters of the gallery: by the values of the metadata, by the day of the import, by the import.
            GinIndex(fields=["metadata"], opclasses=["jsonb_path_ops"], name="image_by_metadata"),
            models.Index(fields=["dataset", "created_at", "id"], name="image_by_time"),
            models.Index(fields=["batch", "id"], name="image_of_import"),
            # The order of the gallery by name (review.finding.NAME_START).
            models.Index("dataset", Left("name", 200), "id", name="image_by_name"),
        ]
        # These columns decide which images belong to the audit reserve.
        triggers = [
            no_truncate(),
            fixed_columns("dataset", "sha256", "audit_key", "created_at"),
            *usage_triggers(),
        ]

    def __str__(self) -> str:
        return self.name


class ImageName(models.Model):
    """Another name under which an image was sent: the name of a duplicate. metadata.csv may use it."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="other_names")
    name = models.TextField()
    batch = models.ForeignKey(ImportBatch, null=True, on_delete=models.SET_NULL)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "name"], name="other_name_once")]

    def __str__(self) -> str:
        return self.name
