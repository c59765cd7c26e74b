"""Decisions, and the confirmed labels that follow from them."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.review.models.queue import QueueItem
from mekiki.review.models.streams import Reason, Stream


class Decision(models.Model):
    """A reviewer's answer about an image, with what the screen showed.

    Decisions are append-only: an undo is a new decision.
    """

    class Kind(models.TextChoices):
        CONFIRM = "confirm", _("confirmed")
        CORRECT = "correct", _("corrected")  # also the answer to an item shown blind
        SKIP = "skip", _("skipped")
        FLAG = "flag", _("flagged")
        UNDO = "undo", _("undone")
        RULE = "rule", _("ruled")  # of an adjudicator, where reviewers disagreed

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="decisions")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="decisions")
    item = models.ForeignKey(QueueItem, null=True, on_delete=models.CASCADE, related_name="decisions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    label = models.ForeignKey(Label, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=12, choices=Reason.choices, blank=True, default="", db_default="")
    note = models.TextField(default="", max_length=2000)
    # What the screen showed (review.services.leases.shown_of_items): stream, propensity, blind and, unless
    # blind, head, head_digest, prompt_set, label, label_name, confidence, calibrated, runner_up and
    # runner_up_confidence. With an adjusted picture also view (review.adjustments). An answer of
    # the grid review also has grid: {page (UUID), tiles (number of images on the page)}. With
    # `staged`, a known answer was put among the images of a page: the label and confidence on the screen were
    # those of the page, not the head's prediction for this image. A ruling also has
    # decisions (ids of the answers that were compared), names_hidden, and own (the adjudicator had answered).
    # With the panel Why open also why (WhyPanel.shown).
    shown = models.JSONField(default=dict)
    supersedes = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    # The browser's id of the answer. An answer that is sent again after a lost reply is recorded only once.
    client_key = models.UUIDField()
    # The lease had expired or was taken over. The answer is stored anyway.
    late = models.BooleanField(default=False)
    milliseconds = models.PositiveIntegerField(null=True)  # from display to answer
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "client_key"], name="answer_recorded_once"),
            models.CheckConstraint(
                condition=models.Q(kind__in=["confirm", "correct"], label__isnull=False)
                | models.Q(kind__in=["skip", "flag"], label__isnull=True)
                | models.Q(kind="undo", label__isnull=True, supersedes__isnull=False)
                | (models.Q(kind="rule", label__isnull=False, item__isnull=False) & ~models.Q(note="")),
                name="decision_has_what_it_needs",
            ),
            models.CheckConstraint(
                condition=models.Q(reason="")
                | models.Q(kind="skip", reason__in=["unclear", "not_in_list", "expert", "other"])
                | models.Q(kind="flag", reason__in=["bad_image", "wrong_object", "duplicate", "other"]),
                name="reason_fits_decision",
            ),
        ]
        indexes = [
            # The page of the queue lists skipped and flagged images.
            models.Index(
                fields=["dataset", "-id"],
                condition=models.Q(kind__in=["skip", "flag"]),
                name="decision_without_label",
            ),
            models.Index(fields=["dataset", "-id"], name="decision_of_dataset"),
            models.Index(fields=["user", "dataset", "-id"], name="decision_of_reviewer"),
            models.Index(fields=["user", "dataset", "created_at"], name="decision_of_the_day"),
            # The measures of reviewers read the answers on images with a known answer, which are rare.
            models.Index(
                fields=["dataset", "user", "-id"],
                condition=models.Q(shown__stream__in=["gold", "repeat"]),
                name="decision_on_known",
            ),
        ]
        triggers = append_only(dated="created_at")

    # Not a column. review.services sets it to True if the same client_key was already recorded.
    duplicate = False
    # Not a column. The length of the queue after the answer, counted after the commit.
    waiting: int | None = None

    def __str__(self) -> str:
        return f"{self.kind} {self.image_id}"


# The kinds of answers with a label, and all kinds that give an image a label.
LABEL_KINDS = (Decision.Kind.CONFIRM, Decision.Kind.CORRECT)
LABELLING_KINDS = (*LABEL_KINDS, Decision.Kind.RULE)


class ConfirmedLabel(models.Model):
    """The label that follows from an image's decisions. It is derived and updated by review.services."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="confirmed_labels")
    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="confirmed_label")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="+")
    stream = models.CharField(max_length=10, choices=Stream.choices)
    # False for the audit stream until an admin moves the audit sample into training. That act is recorded.
    in_training = models.BooleanField()
    # The label used for the audit: the first label that was given blind, regardless of decisions after the
    # prediction was visible. `audited_at` is when it was complete. Both are null if no answer is valid for
    # the audit.
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
            # Every answer counts the new training labels since the last training run.
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


class AuditRetirement(models.Model):
    """One move of a dataset's audited labels into the training pool, by an admin.

    The rows are sealed (review.sealing), because such a move decides which images measure the accuracy.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="audit_retirements")
    labels = models.PositiveIntegerField()  # how many labels were moved
    retired_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(labels__gte=1), name="retirement_moves_labels")
        ]
        triggers = append_only(dated="retired_at")

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.labels} labels"
