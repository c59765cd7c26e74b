"""Datasets, their images, and the imports that added the images."""

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
from mekiki.datasets.reviewer_columns import REVIEWER_CONSTRAINTS, ReviewerColumns
from mekiki.datasets.reviewer_tests import MAX_TEST_SHARE, ReviewerTests

# An address belongs permanently to the first dataset that has it. Old links never lead to another dataset.
KEEP_ADDRESS = """
INSERT INTO datasets_datasetaddress (slug, dataset_id) VALUES (NEW.slug, NEW.id) \
ON CONFLICT (slug) DO NOTHING;
IF NOT EXISTS (SELECT FROM datasets_datasetaddress WHERE slug = NEW.slug AND dataset_id = NEW.id) THEN
    RAISE EXCEPTION 'the address % belongs to another dataset', NEW.slug USING ERRCODE = 'unique_violation';
END IF;
RETURN NULL;
"""


def new_seed() -> str:
    """Return a new seed. The audit reserve and every random choice of the dataset derive from it."""
    return secrets.token_hex(8)


# Limits of Dataset.grid_image_ms. People who search for an odd item among similar ones need 25 to 60 ms for
# each item (Wolfe, Psychological Science 9:33, 1998). A faster page cannot have been searched.
MIN_GRID_IMAGE_MS = 100
MAX_GRID_IMAGE_MS = 10_000
MOST_REVIEWERS = 9  # the largest overlap
# Default and limits of Dataset.min_display_ms. The brain needs about 150 ms to recognize an animal in a
# photograph, before the hand moves (Thorpe, Fize & Marlot, Nature 381:520, 1996). People answer in under
# 400 ms (VanRullen & Thorpe, Perception 30:655, 2001). An answer within 200 ms cannot be a judgement.
DEFAULT_DISPLAY_MS, LEAST_DISPLAY_MS, MOST_DISPLAY_MS = 200, 150, 10_000


class Acquisition(models.TextChoices):
    """Acquisition functions: how the next images to review are chosen.

    A test compares the values with those that the workers know.
    """

    MARGIN = "margin", _("Where two labels compete")
    ENTROPY = "entropy", _("Where many labels compete")
    LEAST_CONFIDENCE = "least_confidence", _("Where the best label is weak")
    K_CENTER = "k_center", _("Unlike the images reviewed so far")
    TYPICLUST = "typiclust", _("Typical of the images not yet reviewed")
    RANDOM = "random", _("At random")


class Dataset(ReviewerTests, ReviewerColumns):
    """Images with one label schema, one encoder and one queue."""

    slug = models.SlugField(_("address"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=120)
    description = models.TextField(_("description"), blank=True, default="")
    encoder_name = models.CharField(_("encoder"), max_length=200, default="pocket")
    seed = models.CharField(max_length=32, default=new_seed, editable=False)
    # Share of images that are kept for the audit stream and used for no other stream (docs/decisions/0003).
    audit_fraction = models.FloatField(
        _("audit share"), default=0.15, validators=[MinValueValidator(0.0), MaxValueValidator(0.9)]
    )
    queue_target = models.PositiveIntegerField(_("length of the queue"), default=100)
    acquisition = models.CharField(
        _("acquisition function"), max_length=20, choices=Acquisition.choices, default=Acquisition.MARGIN
    )
    # Retrain after this many new confirmed labels. 0: the number of labels starts no training.
    retrain_every = models.PositiveIntegerField(_("retrain after this many answers"), default=50)
    # How many reviewers decide each image.
    overlap = models.PositiveSmallIntegerField(_("overlap: reviewers for each image"), default=1)
    # The least overlap of images whose prediction or answer is a critical label (review.overlap).
    critical_overlap = models.PositiveSmallIntegerField(
        _("least overlap of critical labels"), default=1, db_default=1
    )
    # Adjudicators see the answers without the names of the reviewers.
    hide_names_from_adjudicators = models.BooleanField(
        _("hide the names of the reviewers from adjudicators"), default=True, db_default=True
    )
    # A page of the grid review accepts an answer after this time for each of its images.
    grid_image_ms = models.PositiveIntegerField(
        _("grid review: milliseconds for each image"),
        default=MIN_GRID_IMAGE_MS,
        validators=[MinValueValidator(MIN_GRID_IMAGE_MS), MaxValueValidator(MAX_GRID_IMAGE_MS)],
    )
    # An answer is accepted after the image was on the screen for this time.
    min_display_ms = models.PositiveIntegerField(
        _("shortest viewing time in milliseconds"),
        default=DEFAULT_DISPLAY_MS,
        validators=[MinValueValidator(LEAST_DISPLAY_MS), MaxValueValidator(MOST_DISPLAY_MS)],
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    # Storage limits, set by admins of the platform. Null: no limit. Triggers on images enforce them
    # (quota_triggers).
    max_images = models.PositiveBigIntegerField(null=True, blank=True)
    max_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    archived_at = models.DateTimeField(null=True)
    # The role of a user, and the id of this user, set by access.dataset_for. Not columns.
    role: str | None
    role_of: int | None = None

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(audit_fraction__gte=0, audit_fraction__lte=0.9),
                name="audit_share_in_range",
            ),
            models.CheckConstraint(condition=models.Q(overlap__gte=1), name="overlap_of_at_least_one"),
            models.CheckConstraint(
                condition=models.Q(critical_overlap__gte=1, critical_overlap__lte=MOST_REVIEWERS),
                name="critical_overlap_in_range",
            ),
            models.CheckConstraint(
                condition=models.Q(min_display_ms__gte=LEAST_DISPLAY_MS), name="images_are_looked_at"
            ),
            models.CheckConstraint(
                condition=models.Q(grid_image_ms__gte=MIN_GRID_IMAGE_MS), name="grid_images_are_looked_at"
            ),
            models.CheckConstraint(
                condition=models.Q(gold_share__gte=0, gold_share__lte=MAX_TEST_SHARE),
                name="gold_share_in_range",
            ),
            models.CheckConstraint(
                condition=models.Q(repeat_share__gte=0, repeat_share__lte=MAX_TEST_SHARE),
                name="repeat_share_in_range",
            ),
            models.CheckConstraint(
                condition=~models.Q(max_images=0) & ~models.Q(max_bytes=0), name="dataset_limits_are_not_zero"
            ),
            *REVIEWER_CONSTRAINTS,
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


class AuditShareChange(models.Model):
    """One change of a dataset's audit share. `review.selectors.reserve_limits` derives from these rows.

    The rows are sealed (datasets.sealing), because the limits decide which images measure the accuracy.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="audit_share_changes")
    before = models.FloatField()
    after = models.FloatField()
    changed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(before__gte=0, before__lte=0.9, after__gte=0, after__lte=0.9),
                name="changed_share_in_range",
            ),
            models.CheckConstraint(
                condition=~models.Q(before=models.F("after")), name="changed_share_is_another"
            ),
        ]
        triggers = append_only(dated="changed_at")

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.before} to {self.after}"


class ChangedFile(models.Model):
    """A stored file that had another hash than the recorded one when it was read."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="changed_files")
    kind = models.CharField(max_length=60)  # of the event that reports it
    object_id = models.CharField(max_length=64)  # what the file belongs to, as in the event
    expected = models.CharField(max_length=64)  # SHA-256
    actual = models.CharField(max_length=64)  # SHA-256
    noticed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "kind", "object_id", "actual"], name="changed_file_reported_once"
            ),
            models.CheckConstraint(
                condition=~models.Q(expected=models.F("actual")), name="changed_file_has_another_hash"
            ),
        ]
        triggers = append_only(dated="noticed_at")

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id}"


class DatasetAddress(models.Model):
    """An address that a dataset has or had.

    A trigger on datasets writes the row, so that no address is given to two datasets.
    """

    slug = models.SlugField(max_length=60, primary_key=True)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="addresses")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return self.slug


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
    batch = models.ForeignKey(ImportBatch, null=True, on_delete=models.SET_NULL)
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
