"""Queue items, leases, decisions, and the confirmed labels that follow from the decisions."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only, fixed_columns, no_delete
from mekiki.datasets.models import MOST_REVIEWERS, Dataset, Image
from mekiki.labeling.models import Label
from mekiki.learning.models import Head
from mekiki.review.gold_models import GoldImage as GoldImage
from mekiki.review.preferences import ReviewPreferences as ReviewPreferences
from mekiki.review.reviewer_models import Assignment, Requalification, RequalificationQuestion  # noqa: F401


class Stream(models.TextChoices):
    """The reason why an image is in the queue."""

    UNCERTAIN = "uncertain", _("uncertain")
    DIVERSE = "diverse", _("diverse")
    AUDIT = "audit", _("audit")
    GOLD = "gold", _("gold")
    RECHECK = "recheck", _("review again")
    CERTIFY = "certify", _("certificate audit")
    REPEAT = "repeat", _("hidden repeat")


# Answers to items of these streams measure the reviewer. They never set or change a label.
TEST_STREAMS = (Stream.GOLD, Stream.REPEAT)
# No prediction is shown for these streams, because the answer must not depend on it.
BLIND_STREAMS = (Stream.AUDIT, *TEST_STREAMS, Stream.CERTIFY)
# Streams whose overlap can be set. Known answers are compared one by one, so they always have overlap 1.
OVERLAP_STREAMS = (Stream.UNCERTAIN, Stream.DIVERSE, Stream.AUDIT, Stream.RECHECK)
# The name, metadata and prediction of an audited image stay hidden for this time after its answer. If the
# answer is undone within this time, the next answer is used for the audit. After this time the first answer
# is used.
AUDIT_UNDO_PERIOD = timedelta(minutes=2)


class Reason(models.TextChoices):
    """The reason why a reviewer skipped or flagged an image."""

    UNCLEAR = "unclear", _("unclear image")
    NOT_IN_LIST = "not_in_list", _("not in the list of labels")
    EXPERT = "expert", _("needs an expert")
    BAD_IMAGE = "bad_image", _("bad image (blurred, dark)")
    WRONG_OBJECT = "wrong_object", _("wrong object")
    DUPLICATE = "duplicate", _("duplicate")
    OTHER = "other", _("other reason")


# The order is the order of their keys in the station: 1, 2, 3, 4.
SKIP_REASONS = (Reason.UNCLEAR, Reason.NOT_IN_LIST, Reason.EXPERT, Reason.OTHER)
FLAG_REASONS = (Reason.BAD_IMAGE, Reason.WRONG_OBJECT, Reason.DUPLICATE, Reason.OTHER)


class QueueItem(models.Model):
    """An image that waits for a reviewer, with its stream and its sampling probability."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DONE = "done", _("done")
        WITHDRAWN = "withdrawn", _("withdrawn")  # replaced by a later refill before a review started
        SET_ASIDE = "set_aside", _("set aside")  # not reviewed until an admin returns it

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="queue_items")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="queue_items")
    stream = models.CharField(max_length=10, choices=Stream.choices)
    propensity = models.FloatField()  # sampling probability in (0, 1]
    head = models.ForeignKey(Head, null=True, on_delete=models.PROTECT)
    position = models.FloatField()  # items are shown in ascending order
    overlap = models.PositiveSmallIntegerField(default=1)
    # Since when the reviewers of the finished item disagree and no ruling is valid. Null: nothing to rule on.
    # It is derived and updated with the confirmed label (services.confirmed).
    disputed_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)
    # The item waits for this reviewer only, while the user is a reviewer of the dataset. Null: for everybody.
    # An item of a test stream is never for another reviewer.
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    # Stream gold: the known label that the answer is compared with.
    gold = models.ForeignKey(
        GoldImage, null=True, on_delete=models.PROTECT, related_name="items", db_index=False
    )
    # Stream repeat: the reviewer's own earlier decision that the answer is compared with.
    repeats = models.ForeignKey(
        "Decision", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "image"], condition=models.Q(state="waiting"), name="image_waits_once"
            ),
            models.CheckConstraint(
                condition=models.Q(propensity__gt=0, propensity__lte=1), name="propensity_is_probability"
            ),
            models.CheckConstraint(condition=models.Q(stream__in=Stream.values), name="stream_is_known"),
            models.CheckConstraint(
                condition=models.Q(disputed_at__isnull=True) | models.Q(overlap__gte=2),
                name="dispute_needs_two_reviewers",
            ),
            models.CheckConstraint(
                condition=models.Q(gold__isnull=True) | models.Q(stream="gold", overlap=1),
                name="known_label_is_of_gold_item",
            ),
            models.CheckConstraint(
                condition=models.Q(repeats__isnull=True) | models.Q(stream="repeat", overlap=1),
                name="repeated_decision_is_of_repeat",
            ),
        ]
        indexes = [
            # The adjudicator's queue.
            models.Index(
                fields=["dataset", "id"],
                condition=models.Q(disputed_at__isnull=False),
                name="queue_disputed",
            ),
            models.Index(
                fields=["dataset", "position", "id"],
                condition=models.Q(state="waiting"),
                name="queue_next",
            ),
            models.Index(
                fields=["assigned_to", "dataset"],
                condition=models.Q(state="waiting", assigned_to__isnull=False),
                name="queue_assigned",
            ),
            # Every page with an accuracy counts the audit items.
            models.Index(fields=["dataset"], condition=models.Q(stream="audit"), name="queue_audit"),
            models.Index(
                fields=["dataset", "finished_at"],
                condition=models.Q(stream__in=["gold", "repeat"]),
                name="queue_tests",
            ),
        ]
        # Every estimate depends on how an image was drawn, so these columns never change.
        triggers = [
            *no_delete(),
            fixed_columns("dataset", "image", "stream", "propensity", "head", "gold", "repeats"),
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.image_id}"


class StreamOverlap(models.Model):
    """How many reviewers decide each image of one stream, instead of Dataset.overlap."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="stream_overlaps")
    stream = models.CharField(max_length=10, choices=[(one.value, one.label) for one in OVERLAP_STREAMS])
    overlap = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "stream"], name="one_overlap_per_stream"),
            models.CheckConstraint(
                condition=models.Q(stream__in=["uncertain", "diverse", "audit", "recheck"]),
                name="stream_of_overlap_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(overlap__gte=1, overlap__lte=MOST_REVIEWERS),
                name="stream_overlap_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id} {self.stream}: {self.overlap}"


class Lease(models.Model):
    """A reviewer's short, renewable hold on a queue item, and what the screen showed during it.

    `slot` is a number from 0 to the item's overlap − 1. Among active leases the pair (item, slot) is unique,
    so two reviewers cannot hold the same slot. The id is the fencing token: when an expired lease is taken
    over, the old lease ends and a new lease is created. An ended lease is kept for some time, so that a late
    answer can still record what its reviewer saw.
    """

    item = models.ForeignKey(QueueItem, on_delete=models.CASCADE, related_name="leases")
    slot = models.PositiveSmallIntegerField(default=0)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    # Same format as Decision.shown. It is fixed when the lease is created, because the head may change before
    # the answer.
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


class ReferenceImage(models.Model):
    """An image that shows what a label includes (accepted), or what it does not include (rejected)."""

    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="reference_images")
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="reference_of")
    accepted = models.BooleanField()
    note = models.CharField(max_length=200, blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-accepted", "id"]
        constraints = [
            models.UniqueConstraint(fields=["label", "image"], name="one_reference_per_label_and_image")
        ]

    def __str__(self) -> str:
        return f"{self.label_id}: {self.image_id}"


class WhyPanel(models.Model):
    """What the panel Why showed one user of one image, as the server sent it.

    An answer that was given with the panel open names the row by its id, and `shown` is copied into the
    decision. So a decision records what the server sent, not what a browser claims.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The unique index of the four begins with the user.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+")
    # The lease under which the station showed the image. Null: the page of the image.
    lease = models.ForeignKey(Lease, null=True, on_delete=models.CASCADE, related_name="+")
    head = models.ForeignKey(Head, on_delete=models.CASCADE, related_name="+", db_index=False)
    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="+", db_index=False)
    runner_up = models.ForeignKey(
        Label, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    # neighbours: ids of images; prompts: ids of prompts; heat_map: null, or {method, digest}.
    shown = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "image", "lease", "head"],
                nulls_distinct=False,
                name="one_why_panel_per_lease_and_head",
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="why_panel_by_age")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.image_id}"
