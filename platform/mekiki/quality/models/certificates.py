"""Certificates: the tested statement that at most α of the labels set by machine are wrong.

docs/explanation/certificates.md explains the protocol, the hypotheses and the tests.
"""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only, fixed_columns, no_delete, set_by_database
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.jobs.models import Job
from mekiki.labeling.models import Label
from mekiki.learning.models import Head
from mekiki.quality.stop_reasons import StopReason
from mekiki.review.models import QueueItem


class Certificate(models.Model):
    """One certificate: its protocol, which never changes after the start, and its state.

    The protocol is fixed at the start. A job then freezes the head's scores of the pool, draws the seed and
    publishes its commitment in one event. The seed is secret until the audit ends.
    """

    class State(models.TextChoices):
        FREEZING = "freezing", _("being frozen")
        AUDITING = "auditing", _("audit running")
        PASSED = "passed", _("certified")
        FAILED = "failed", _("not certified")
        CANCELLED = "cancelled", _("cancelled")
        ACCEPTING = "accepting", _("labels being set")
        ACCEPTED = "accepted", _("labels set by machine")
        SUSPENDED = "suspended", _("suspended")
        REVOKED = "revoked", _("revoked")

    class Test(models.TextChoices):
        PLANNED = "planned", _("planned: a fixed number of audited images")
        WATCHED = "watched", _("watched: stop at any time")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="certificates")
    version = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.FREEZING)
    # The protocol (verification.certificates.Protocol).
    alpha = models.FloatField()
    delta = models.FloatField()
    limit = models.PositiveIntegerField()
    levels = ArrayField(models.FloatField())
    test = models.CharField(max_length=10, choices=Test.choices, default=Test.WATCHED)
    critical_bound = models.FloatField(null=True)
    delta_critical = models.FloatField(default=0)
    alpha_by_label = models.JSONField(default=dict, blank=True)  # label id, as text → its own alpha
    # A filter of the pool, by verification.certificates.protocol.SCOPE_KEYS; empty without a filter.
    scope = models.JSONField(default=dict, blank=True)
    # What the protocol is applied to, and how the images are judged.
    overlap = models.PositiveSmallIntegerField(default=1)  # reviewers for each audited image
    batch = models.ForeignKey(ImportBatch, null=True, on_delete=models.PROTECT, related_name="+")
    public_words = models.CharField(max_length=500, blank=True, default="")
    note = models.CharField(max_length=300, blank=True, default="")
    # What the freeze fixed.
    head = models.ForeignKey(Head, null=True, on_delete=models.PROTECT, related_name="+")
    seed = models.BinaryField(max_length=32, null=True)  # secret while the audit runs
    commitment = models.CharField(max_length=64, default="")
    pool_digest = models.CharField(max_length=64, default="")
    pool = models.PositiveIntegerField(default=0)  # images without a label of a person
    candidates = models.PositiveIntegerField(default=0)
    critical_label = models.PositiveIntegerField(default=0)  # left out: the predicted label is critical
    critical_risk = models.PositiveIntegerField(default=0)  # left out: above critical_bound
    not_embedded = models.PositiveIntegerField(default=0)  # left out: no embedding
    # Label id, as text → candidates predicted as this label in each region. Only labels with their own alpha.
    label_sizes = models.JSONField(default=dict, blank=True)
    frozen_at = models.DateTimeField(null=True)
    # The result.
    region = models.PositiveIntegerField(default=0)  # images of the largest certified region
    audits = models.PositiveIntegerField(default=0)  # audited images that the test used
    errors = models.PositiveIntegerField(default=0)  # audited images with another label than the machine's
    ended_at = models.DateTimeField(null=True)
    accepted = models.PositiveIntegerField(default=0)  # labels that were set by machine
    accepted_at = models.DateTimeField(null=True)
    stopped_at = models.DateTimeField(null=True)  # suspended, revoked or cancelled
    stop_reason = models.CharField(max_length=20, default="", blank=True, choices=StopReason.choices)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "version"], name="one_certificate_per_version"),
            # Two audits at once would compete for the same reviewers and the same images.
            models.UniqueConstraint(
                fields=["dataset"],
                condition=models.Q(state__in=["freezing", "auditing", "accepting"]),
                name="one_running_certificate",
            ),
            models.CheckConstraint(
                condition=models.Q(alpha__gte=0, alpha__lt=1, delta__gt=0, delta__lt=1),
                name="certificate_bounds_in_range",
            ),
            models.CheckConstraint(condition=models.Q(limit__gte=1), name="certificate_limit_at_least_one"),
            models.CheckConstraint(
                condition=models.Q(overlap__gte=1, overlap__lte=3), name="certificate_overlap_in_range"
            ),
            models.CheckConstraint(
                condition=models.Q(region__lte=models.F("candidates")), name="region_of_candidates"
            ),
        ]
        triggers = [
            *no_delete(),
            fixed_columns(
                "dataset",
                "version",
                "alpha",
                "delta",
                "limit",
                "levels",
                "test",
                "critical_bound",
                "delta_critical",
                "alpha_by_label",
                "scope",
                "overlap",
                "batch",
                "public_words",
                "created_by",
                "created_at",
            ),
            set_by_database("created_at"),
        ]

    def __str__(self) -> str:
        return f"v{self.version}"


class CertificateImage(models.Model):
    """The frozen prediction of one image of the pool, and its place in the audit order.

    The ids have no foreign keys, so that a million rows are written in seconds.
    """

    pk = models.CompositePrimaryKey("certificate_id", "image_id")
    certificate = models.ForeignKey(
        Certificate, on_delete=models.CASCADE, related_name="images", db_constraint=False, db_index=False
    )
    image = models.ForeignKey(
        Image, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    label = models.ForeignKey(
        Label, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    confidence = models.FloatField()
    critical_probability = models.FloatField()  # of all critical labels together
    # 1, 2, 3 … from the most confident candidate. 0: not a candidate, the image is left to people.
    rank = models.PositiveIntegerField()
    audit_position = models.PositiveIntegerField()  # 1, 2, 3 … in the audit order of the pool

    class Meta:
        indexes = [
            models.Index(fields=["certificate", "audit_position"], name="certificate_audit_order"),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.certificate_id}:{self.image_id}"


class CertificateAudit(models.Model):
    """One image that was drawn for the audit of a certificate, in the audit order."""

    certificate = models.ForeignKey(Certificate, on_delete=models.CASCADE, related_name="drawn")
    number = models.PositiveIntegerField()  # 1, 2, 3 … in the order of the draws
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+")
    item = models.OneToOneField(QueueItem, on_delete=models.PROTECT, related_name="certificate_audit")
    drawn_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["certificate", "number"], name="one_audit_per_number"),
            models.UniqueConstraint(fields=["certificate", "image"], name="image_audited_once"),
        ]
        triggers = append_only(dated="drawn_at")

    def __str__(self) -> str:
        return f"{self.certificate_id}: {self.number}"


class CertificateCheck(models.Model):
    """The state of a certificate's test after some audits. The newest row is the valid one."""

    certificate = models.ForeignKey(Certificate, on_delete=models.CASCADE, related_name="checks")
    audits = models.PositiveIntegerField()  # audited images that the test used
    errors = models.PositiveIntegerField()  # with another label than the machine's
    unresolved = models.PositiveIntegerField()  # waiting, skipped or flagged; they count as errors
    regions = ArrayField(models.PositiveIntegerField())  # images of each region, smallest first
    region_audits = ArrayField(models.PositiveIntegerField())
    region_errors = ArrayField(models.PositiveIntegerField())
    # The p-value of each region (planned), or 1 / e-value (watched). At most δ: the hypothesis is rejected.
    p_values = ArrayField(models.FloatField())
    # Of region_errors, the images without an answer: waiting, skipped or flagged.
    region_open = ArrayField(models.PositiveIntegerField(), default=list)
    # The largest e-value (watched) or 1 / p-value (planned) of each region, as a logarithm, against “more
    # than α of the labels left are wrong”. At log(1/δ) the region is certified if all smaller regions passed.
    evidence = ArrayField(models.FloatField(), default=list)
    certified = models.PositiveIntegerField()  # images of the largest certified region
    # Images of that region without a label of a person, and the most wrong labels that the promise allows.
    left = models.PositiveIntegerField(default=0)
    promised = models.PositiveIntegerField(default=0)
    # Upper bound on critical images in the certified region that have another label.
    missed_critical = models.PositiveIntegerField(default=0)
    # Images of the largest region for the weaker statement about all labels, people's labels included.
    whole_pool = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return f"{self.certificate_id}: {self.certified} after {self.audits}"


_REFUSE_CRITICAL = """
IF EXISTS (
  SELECT FROM new_rows n JOIN labeling_label l ON l.id = n.label_id WHERE l.critical
) THEN
  RAISE EXCEPTION 'a critical label is never set by machine';
END IF;
RETURN NULL;
"""


def _refuse_critical(name: str, operation: pgtrigger.Operation) -> pgtrigger.Trigger:
    """Return a trigger that refuses critical labels, with one query for all rows of a statement."""
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=operation,
        referencing=pgtrigger.Referencing(new="new_rows"),
        func=_REFUSE_CRITICAL,
    )


class MachineLabel(models.Model):
    """The label that a certificate set for an image by machine.

    `quality.certificates.valid_machine_labels` states which of these labels are valid. Each certificate has
    its own rows, so that a newer one replaces the labels of an earlier one all at once.
    """

    pk = models.CompositePrimaryKey("certificate_id", "image_id")
    image = models.ForeignKey(
        Image, on_delete=models.CASCADE, related_name="machine_labels", db_constraint=False, db_index=False
    )
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+", db_index=False)
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+", db_index=False)
    certificate = models.ForeignKey(
        Certificate, on_delete=models.PROTECT, related_name="machine_labels", db_index=False
    )
    confidence = models.FloatField()
    # 0: an image of the certified region. 1, 2, 3 …: the number of the image in the stream (StreamImage).
    stream_number = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["image"], name="machine_label_of_image"),
            models.Index(fields=["dataset", "label"], name="machine_label_by_label"),
        ]
        triggers = [
            _refuse_critical("insert_not_critical", pgtrigger.Insert),
            _refuse_critical("update_not_critical", pgtrigger.Update),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.label_id}"
