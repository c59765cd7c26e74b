"""Tables of label sets, which are frozen, signed exports."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only, fixed_columns, no_delete, set_by_database
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job
from mekiki.quality.models import Certificate

NO_ENTRY_ADDED = """
IF EXISTS (SELECT FROM exports_labelset WHERE state = 'frozen' \
AND id IN (SELECT DISTINCT label_set_id FROM added)) THEN
    RAISE EXCEPTION 'Cannot add entries to a frozen label set';
END IF;
RETURN NULL;
"""


class LabelSet(models.Model):
    """A frozen export of confirmed labels, and of machine labels if requested, with their lineage."""

    class State(models.TextChoices):
        FREEZING = "freezing", _("being frozen")
        FROZEN = "frozen", _("frozen")
        FAILED = "failed", _("failed")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="label_sets")
    version = models.PositiveIntegerField()
    note = models.CharField(_("note"), max_length=300, blank=True, default="")
    include_images = models.BooleanField(_("with images"), default=False)
    # Predictions at or above this calibrated confidence are included, without a certificate. Null: none.
    machine_threshold = models.FloatField(null=True)
    # The labels of this certificate are included. Null: none.
    certificate = models.ForeignKey(Certificate, null=True, on_delete=models.PROTECT, related_name="+")
    # Only images of this saved view are included: its name and its filters at the request. Empty: all images.
    view_name = models.CharField(max_length=80, blank=True, default="")
    view_query = models.TextField(blank=True, default="")
    state = models.CharField(max_length=10, choices=State.choices, default=State.FREEZING)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL)
    file = models.CharField(max_length=300, default="")  # in the storage
    size = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, default="")  # of the zip
    manifest_sha256 = models.CharField(max_length=64, default="")
    # The state when the entries were fixed: time, labels, champion, accuracy. Empty until then.
    snapshot = models.JSONField(default=dict)
    human_labels = models.PositiveIntegerField(default=0)
    machine_labels = models.PositiveIntegerField(default=0)
    # The number of machine labels for audit-reserve images that nobody had judged when the entries were
    # fixed. None: not counted, because the label set is older than this column.
    reserve_labels = models.PositiveIntegerField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    frozen_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "version"], name="one_label_set_per_version"),
            models.CheckConstraint(
                condition=models.Q(certificate__isnull=True) | models.Q(machine_threshold__isnull=True),
                name="certified_or_uncertified_labels",
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="frozen", operation=pgtrigger.Update, condition=pgtrigger.Q(old__state="frozen")
            ),
            *no_delete(),
            fixed_columns("dataset", "version", "created_at", "created_by"),
            set_by_database("created_at"),
        ]

    def __str__(self) -> str:
        return f"v{self.version}"


class LabelSetEntry(models.Model):
    """The label of one image in a label set. It never changes, so a repeated export gives the same bytes.

    The ids have no foreign keys, so that one statement can write a million rows. Nothing that they name is
    deleted while the dataset exists.
    """

    pk = models.CompositePrimaryKey("label_set_id", "position")
    label_set = models.ForeignKey(LabelSet, on_delete=models.CASCADE, related_name="entries", db_index=False)
    position = models.BigIntegerField()  # 1, 2, 3 … in the order of the images' hashes
    image_id = models.BigIntegerField()
    label_id = models.BigIntegerField()
    decision_id = models.BigIntegerField(null=True)  # null: accepted by machine
    opinions = models.PositiveIntegerField()
    head_id = models.BigIntegerField(null=True)  # of a machine's label
    confidence = models.FloatField(null=True)  # of a machine's label

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(decision_id__isnull=False, head_id__isnull=True, confidence__isnull=True)
                | models.Q(decision_id__isnull=True, head_id__isnull=False, confidence__isnull=False),
                name="entry_of_person_or_machine",
            ),
        ]
        triggers = [
            *append_only(),
            pgtrigger.Trigger(
                name="none_added",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                referencing=pgtrigger.Referencing(new="added"),
                func=NO_ENTRY_ADDED,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label_set_id}:{self.position}"
