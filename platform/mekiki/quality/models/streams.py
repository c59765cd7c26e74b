"""The extension of a certificate to images that are imported later, and its audit.

docs/explanation/certificates.md explains the monitoring (section “After the certificate”).
"""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from mekiki.audit.triggers import append_only, fixed_columns, no_delete, set_by_database
from mekiki.datasets.models import Image
from mekiki.labeling.models import Label
from mekiki.quality.models.certificates import Certificate
from mekiki.review.models import QueueItem


class CertificateStream(models.Model):
    """The extension of an accepted certificate to later images, and the state of its monitoring.

    The machine sets the label of a later image if its prediction lies in the certified region. A random share
    of these images is audited blind. `evidence` speaks against “at most α of the labels are wrong”.
    """

    certificate = models.OneToOneField(
        Certificate, primary_key=True, on_delete=models.CASCADE, related_name="stream"
    )
    share = models.FloatField()  # probability that an accepted image is audited
    confidence = models.FloatField()  # the lowest confidence of the certified region
    seed = models.BinaryField(max_length=32)  # decides which images are audited; secret until the end
    commitment = models.CharField(max_length=64)  # SHA-256 of the seed
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(db_default=Now(), editable=False)
    accepted = models.PositiveIntegerField(default=0)  # images whose label the machine has set
    # The e-process after the audits that ended (verification.certificates.stream.StreamMonitor).
    audits = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)  # wrong ones, and those that ended without a label
    evidence = models.FloatField(default=1)
    checked_to = models.PositiveIntegerField(default=0)  # number of the last image before the last good audit
    alarm_at = models.DateTimeField(null=True)  # the evidence reached 1 / δ
    ended_at = models.DateTimeField(null=True)
    # At the end: the number of the first image after the last good checkpoint. Labels from there on are not
    # valid.
    doubtful_from = models.PositiveIntegerField(null=True)
    rechecked_at = models.DateTimeField(null=True)  # the doubtful images were sent to the queue

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(share__gt=0, share__lte=1), name="stream_share_in_range"
            ),
            models.CheckConstraint(
                condition=models.Q(doubtful_from__isnull=True, ended_at__isnull=True)
                | models.Q(doubtful_from__gte=1, ended_at__isnull=False),
                name="stream_checkpoint_at_the_end",
            ),
        ]
        triggers = [
            *no_delete(),
            fixed_columns(
                "certificate", "share", "confidence", "seed", "commitment", "started_by", "started_at"
            ),
            set_by_database("started_at"),
        ]

    def __str__(self) -> str:
        return f"{self.certificate_id}: {self.accepted}"


class StreamImage(models.Model):
    """One later image whose label the machine has set, with its frozen prediction.

    The ids have no foreign keys, so that many rows are written at once.
    """

    pk = models.CompositePrimaryKey("certificate_id", "number")
    certificate = models.ForeignKey(
        Certificate, on_delete=models.CASCADE, related_name="stream_images", db_index=False
    )
    number = models.PositiveIntegerField()  # 1, 2, 3 … in the order of acceptance
    image = models.ForeignKey(
        Image, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    label = models.ForeignKey(
        Label, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    confidence = models.FloatField()
    critical_probability = models.FloatField()
    is_audited = models.BooleanField()
    accepted_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["certificate", "image"], name="stream_image_once"),
        ]
        triggers = append_only(dated="accepted_at")

    def __str__(self) -> str:
        return f"{self.certificate_id}: {self.number}"


class StreamAudit(models.Model):
    """One accepted image of a stream that is judged blind.

    counted: 1, 2, 3 … in the order in which the audits ended, which is their order in the e-process. None
    while the image waits for reviewers. The answer itself is read from the decisions.
    """

    certificate = models.ForeignKey(Certificate, on_delete=models.CASCADE, related_name="stream_audits")
    number = models.PositiveIntegerField()  # of the StreamImage
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+")
    item = models.OneToOneField(QueueItem, on_delete=models.PROTECT, related_name="stream_audit")
    counted = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["certificate", "number"], name="one_stream_audit_per_number"),
            models.UniqueConstraint(fields=["certificate", "counted"], name="one_stream_audit_per_count"),
        ]
        triggers = [*no_delete(), fixed_columns("certificate", "number", "image", "item")]

    def __str__(self) -> str:
        return f"{self.certificate_id}: {self.number}"
