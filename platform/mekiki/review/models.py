"""The queue, the leases, the decisions, and the labels that follow from them."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only, fixed_columns, no_delete
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.learning.models import Head


class Stream(models.TextChoices):
    """Why an image is asked about."""

    UNCERTAIN = "uncertain", _("uncertain")
    DIVERSE = "diverse", _("diverse")
    AUDIT = "audit", _("audit")
    GOLD = "gold", _("gold")
    RECHECK = "recheck", _("recheck")


# No prediction is shown for these: the answer must not depend on what the model said.
BLIND_STREAMS = (Stream.AUDIT, Stream.GOLD)
# The name, metadata and prediction of an audited image stay hidden for this long after its answer. An answer that is taken
# back in this time was a slip made blind, and the answer after it counts for the audit; later, the first one counts.
AUDIT_GRACE = timedelta(minutes=2)


class QueueItem(models.Model):
    """An image that waits for a person, with the stream it came from and how it was drawn."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DONE = "done", _("done")
        WITHDRAWN = "withdrawn", _("withdrawn")  # replaced by a later choice before anybody was asked

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="queue_items")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="queue_items")
    stream = models.CharField(max_length=10, choices=Stream.choices)
    propensity = models.FloatField()  # probability with which it was drawn, in (0, 1]
    head = models.ForeignKey(Head, null=True, on_delete=models.PROTECT)
    position = models.FloatField()  # asked in ascending order
    overlap = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "image"], condition=models.Q(state="waiting"), name="image_waits_once"
            ),
            models.CheckConstraint(
                condition=models.Q(propensity__gt=0, propensity__lte=1), name="propensity_is_probability"
            ),
            models.CheckConstraint(condition=models.Q(stream__in=Stream.values), name="stream_is_known"),
        ]
        indexes = [
            models.Index(
                fields=["dataset", "position", "id"],
                condition=models.Q(state="waiting"),
                name="queue_next",
            ),
            # What was drawn for the audit is counted on every page with an accuracy.
            models.Index(fields=["dataset"], condition=models.Q(stream="audit"), name="queue_audit"),
        ]
        # How an image was drawn is part of every estimate.
        triggers = [*no_delete(), fixed_columns("dataset", "image", "stream", "propensity", "head")]

    def __str__(self) -> str:
        return f"{self.stream} {self.image_id}"


class Lease(models.Model):
    """A reviewer's short, renewable hold on a queue item, and what the screen showed during it.

    `slot` counts from 0 to the item's overlap − 1; among the leases not ended, the unique pair (item, slot)
    is what keeps two people from one image. The id is the fencing token: taking over an expired hold ends
    the old lease and makes a new one. An ended lease is kept for a while, so that an answer that comes late
    still says what its reviewer saw.
    """

    item = models.ForeignKey(QueueItem, on_delete=models.CASCADE, related_name="leases")
    slot = models.PositiveSmallIntegerField(default=0)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    # As Decision.shown: fixed when the lease is given, because the head may be replaced before the answer.
    shown = models.JSONField(default=dict)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)  # answered, released, or taken over
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["item", "slot"], condition=models.Q(ended_at__isnull=True), name="one_lease_per_slot"
            ),
            models.UniqueConstraint(
                fields=["user", "item"],
                condition=models.Q(ended_at__isnull=True),
                name="one_lease_per_reviewer",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=models.Q(ended_at__isnull=True), name="lease_expiry"
            ),
            models.Index(
                fields=["ended_at"], condition=models.Q(ended_at__isnull=False), name="lease_history"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} holds {self.item_id}"


class Decision(models.Model):
    """What a person said of an image, with what they were shown. Append-only: undo is a new decision."""

    class Kind(models.TextChoices):
        CONFIRM = "confirm", _("confirmed")
        CORRECT = "correct", _("corrected")  # also the answer to an item shown blind
        SKIP = "skip", _("skipped")
        FLAG = "flag", _("flagged")
        UNDO = "undo", _("undone")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="decisions")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="decisions")
    item = models.ForeignKey(QueueItem, null=True, on_delete=models.CASCADE, related_name="decisions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    label = models.ForeignKey(Label, null=True, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(default="", max_length=2000)
    # What was on the screen, as review.services.shown_for writes it: stream, propensity, blind, and unless
    # blind head, head_digest, prompt_set, label, label_name, confidence, calibrated, runner_up.
    shown = models.JSONField(default=dict)
    supersedes = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    # The browser's own id of the answer: sent again after a lost reply, it is recorded once.
    client_key = models.UUIDField()
    # The lease had expired or passed to somebody else: kept as a decision.
    late = models.BooleanField(default=False)
    milliseconds = models.PositiveIntegerField(null=True)  # from painted to answered
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "client_key"], name="answer_recorded_once"),
            models.CheckConstraint(
                condition=models.Q(kind__in=["confirm", "correct"], label__isnull=False)
                | models.Q(kind__in=["skip", "flag"], label__isnull=True)
                | models.Q(kind="undo", label__isnull=True, supersedes__isnull=False),
                name="decision_has_what_it_needs",
            ),
        ]
        indexes = [
            models.Index(fields=["dataset", "-id"], name="decision_of_dataset"),
            models.Index(fields=["user", "dataset", "-id"], name="decision_of_reviewer"),
            models.Index(fields=["user", "dataset", "created_at"], name="decision_of_the_day"),
        ]
        triggers = append_only(dated="created_at")

    # Not a column: set by review.services when the same client_key had already been recorded.
    duplicate = False

    def __str__(self) -> str:
        return f"{self.kind} {self.image_id}"


class ConfirmedLabel(models.Model):
    """The label that follows from an image's decisions: derived, kept up to date by review.services."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="confirmed_labels")
    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="confirmed_label")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="+")
    stream = models.CharField(max_length=10, choices=Stream.choices)
    # False for the audit stream until it is retired into training by an explicit, recorded act.
    in_training = models.BooleanField()
    # What counts for the audit: the first label that was given blind, whatever was decided after the prediction could be
    # seen; and when that was complete. Null: no answer counts.
    audit_label = models.ForeignKey(
        Label, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    audited_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(audit_label__isnull=True, audited_at__isnull=True)
                | models.Q(audit_label__isnull=False, audited_at__isnull=False, stream="audit"),
                name="audit_label_has_its_time",
            ),
        ]
        indexes = [
            models.Index(fields=["dataset", "label"], name="confirmed_by_label"),
            # How many new training labels there are since the last run: counted at each answer.
            models.Index(
                fields=["dataset", "updated_at"],
                condition=models.Q(in_training=True),
                name="confirmed_for_training",
            ),
            models.Index(
                fields=["dataset", "label"], condition=models.Q(stream="audit"), name="confirmed_audit"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.label_id}"
