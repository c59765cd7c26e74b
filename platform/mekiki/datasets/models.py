"""Datasets, their images, and the imports that brought them in."""

import secrets
from typing import Any

import pgtrigger
from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only, fixed_columns, no_truncate
from mekiki.datasets.quota_triggers import usage_triggers

# An address belongs to the first dataset that has it, for ever: old links lead to no other dataset.
KEEP_ADDRESS = """
INSERT INTO datasets_datasetaddress (slug, dataset_id) VALUES (NEW.slug, NEW.id) ON CONFLICT (slug) DO NOTHING;
IF NOT EXISTS (SELECT FROM datasets_datasetaddress WHERE slug = NEW.slug AND dataset_id = NEW.id) THEN
    RAISE EXCEPTION 'the address % belongs to another dataset', NEW.slug USING ERRCODE = 'unique_violation';
END IF;
RETURN NULL;
"""


def new_seed() -> str:
    """The dataset's own seed: the audit reserve and every random choice derive from it."""
    return secrets.token_hex(8)


class Acquisition(models.TextChoices):
    """How the next images to ask people about are chosen; a test compares the values to what workers know."""

    MARGIN = "margin", _("Where two labels compete")
    ENTROPY = "entropy", _("Where many labels compete")
    LEAST_CONFIDENCE = "least_confidence", _("Where the best label is weak")
    K_CENTER = "k_center", _("Far from what was asked so far")
    TYPICLUST = "typiclust", _("Typical of what was not asked")
    RANDOM = "random", _("At random")


class Dataset(models.Model):
    """Images with one label schema, one encoder, one queue."""

    slug = models.SlugField(_("address"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=120)
    description = models.TextField(_("description"), blank=True, default="")
    encoder_name = models.CharField(_("encoder"), max_length=200, default="pocket")
    seed = models.CharField(max_length=32, default=new_seed, editable=False)
    # Share of images kept for the audit stream, never asked about otherwise (docs/decisions/0003).
    audit_fraction = models.FloatField(
        _("audit share"), default=0.15, validators=[MinValueValidator(0.0), MaxValueValidator(0.9)]
    )
    queue_target = models.PositiveIntegerField(_("length of the queue"), default=100)
    acquisition = models.CharField(
        _("what is asked next"), max_length=20, choices=Acquisition.choices, default=Acquisition.MARGIN
    )
    # Retrain after this many new confirmed labels; 0: never by count.
    retrain_every = models.PositiveIntegerField(_("retrain after this many answers"), default=50)
    # How many people are asked about one image.
    overlap = models.PositiveSmallIntegerField(_("overlap: reviewers for each image"), default=1)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    # Limits of what is stored, set by admins of the platform; null: none. Triggers on images hold them (quota_triggers).
    max_images = models.PositiveBigIntegerField(null=True, blank=True)
    max_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    archived_at = models.DateTimeField(null=True)
    # The asking user's role, given by access.dataset_for; no column.
    role: str | None

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(audit_fraction__gte=0, audit_fraction__lte=0.9),
                name="audit_share_in_range",
            ),
            models.CheckConstraint(condition=models.Q(overlap__gte=1), name="overlap_of_at_least_one"),
            models.CheckConstraint(
                condition=~models.Q(max_images=0) & ~models.Q(max_bytes=0), name="dataset_limits_are_not_zero"
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="keep_address",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("slug"),
                func=KEEP_ADDRESS,
            ),
            fixed_columns("seed"),
        ]

    def __str__(self) -> str:
        return self.name


class DatasetAddress(models.Model):
    """An address that a dataset has or had. A trigger on datasets writes the row, so that none is given twice."""

    slug = models.SlugField(max_length=60, primary_key=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="addresses")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return self.slug


class DatasetUsage(models.Model):
    """What a dataset stores. Written by triggers on its images alone (quota_triggers), so that it is always right."""

    dataset = models.OneToOneField(Dataset, primary_key=True, on_delete=models.CASCADE, related_name="usage")
    images = models.PositiveBigIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)  # of the files as they were imported

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.images} images"


class PlatformQuota(models.Model):
    """Limits of what all datasets store together: one row at most; null: no limit."""

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


class ImportBatch(models.Model):
    """One act of bringing images in: an upload, or a folder on the server."""

    class Source(models.TextChoices):
        UPLOAD = "upload", _("upload")
        FOLDER = "folder", _("folder on the server")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    source = models.CharField(max_length=10, choices=Source.choices)
    # A folder of this import's own under HOME/incoming, or the folder on the server.
    location = models.TextField(default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)
    added = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    # Every page of a TIFF becomes an image of its own; else the largest page is taken.
    every_page = models.BooleanField(default=False)
    # Lines of the report by outcome; `rejected` counts the refused files.
    partly = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    noted = models.PositiveIntegerField(default=0)
    # Images of earlier imports whose metadata this import changed.
    metadata_changed = models.PositiveIntegerField(default=0)
    # Bytes that an upload has in HOME/incoming, until it is imported or given up.
    waiting_bytes = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"import {self.pk} of {self.dataset_id}"


class ImportProblem(models.Model):
    """One line of an import's report. `code` names a message of datasets.problems; `detail` fills it."""

    class Outcome(models.TextChoices):
        """What became of the file. `ImportBatch.rejected` counts only REFUSED."""

        REFUSED = "refused", _("Not taken")
        PARTLY = "partly", _("Taken in part")
        SKIPPED = "skipped", _("Passed over")
        NOTED = "noted", _("Taken, with a note")

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


class PixelWindow(models.Model):
    """Which pixel values of deep images (more than 8 bits, signed, float) are shown as black and as white.

    One for each camera and type of values of a dataset, so that pictures of one camera stay comparable.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="windows")
    camera = models.CharField(
        max_length=200, default="", blank=True
    )  # from the metadata; empty: none is named
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
    name = models.TextField()  # path or file name as it was sent, for people; never used as a path
    format = models.CharField(max_length=10)  # "JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size = models.PositiveBigIntegerField()  # bytes
    metadata = models.JSONField(default=dict)  # line, camera, lot, shift …: text → text
    # Uniform in [0, 1) from the dataset's seed and the hash; below audit_fraction: the audit reserve.
    audit_key = models.FloatField()
    batch = models.ForeignKey(ImportBatch, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    # The window its pixels were shown by; null for images of 8 bits.
    window = models.ForeignKey(
        PixelWindow, null=True, on_delete=models.SET_NULL, related_name="images", db_index=False
    )
    window_version = models.PositiveIntegerField(default=0)  # of the window at that time
    # A display file stands for the original wherever the picture is shown or embedded. Null: stored by a version
    # before 0.2, which kept display files by other rules.
    has_display = models.BooleanField(null=True)
    # Raised each time thumbnail and display file are made again; browsers ask anew then.
    rendition = models.PositiveIntegerField(default=0)
    # What a page may say of the image, given by review.blinding.hide; no columns.
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
            # Counting the audit reserve reads this index alone.
            models.Index(fields=["dataset", "audit_key", "id"], name="image_by_audit_key"),
        ]
        # Which images belong to the audit reserve follows from these.
        triggers = [
            no_truncate(),
            fixed_columns("dataset", "sha256", "audit_key", "created_at"),
            *usage_triggers(),
        ]

    def __str__(self) -> str:
        return self.name


class ImageName(models.Model):
    """A further name under which an image was sent: a duplicate's. metadata.csv may use it."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="other_names")
    name = models.TextField()
    batch = models.ForeignKey(ImportBatch, null=True, on_delete=models.SET_NULL)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "name"], name="other_name_once")]

    def __str__(self) -> str:
        return self.name
