"""Datasets with their settings, addresses and changes of the audit share."""

import secrets

import pgtrigger
from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only, fixed_columns
from mekiki.datasets.models.review_settings import REVIEW_CONSTRAINTS, ReviewSettings

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


class Dataset(ReviewSettings):
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
    # Whether the local detail of each image is computed beside its embedding and used by heads.
    use_detail = models.BooleanField(_("use the local detail of images"), default=True, db_default=True)
    # Retrain after this many new confirmed labels. 0: the number of labels starts no training.
    retrain_every = models.PositiveIntegerField(_("retrain after this many answers"), default=50)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    # Storage limits, set by admins of the platform. Null: no limit. Triggers on images enforce them
    # (quota_triggers).
    max_images = models.PositiveBigIntegerField(null=True, blank=True)
    max_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    archived_at = models.DateTimeField(null=True)
    # A deleted dataset is archived too. Its files are purged later (services.lifecycle), and the row stays.
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    purge_begun_at = models.DateTimeField(null=True, blank=True, editable=False)
    purged_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The role of a user, and the id of this user, set by access.dataset_for. Not columns.
    role: str | None
    role_of: int | None = None

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(audit_fraction__gte=0, audit_fraction__lte=0.9),
                name="audit_share_in_range",
            ),
            models.CheckConstraint(
                condition=~models.Q(max_images=0) & ~models.Q(max_bytes=0), name="dataset_limits_are_not_zero"
            ),
            models.CheckConstraint(
                condition=(models.Q(deleted_at__isnull=True) | models.Q(archived_at__isnull=False))
                & (models.Q(purge_begun_at__isnull=True) | models.Q(deleted_at__isnull=False))
                & (models.Q(purged_at__isnull=True) | models.Q(purge_begun_at__isnull=False)),
                name="deletion_has_its_order",
            ),
            *REVIEW_CONSTRAINTS,
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
