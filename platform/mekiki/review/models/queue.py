"""Queue items, their overlap, and leases."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import fixed_columns, no_truncate
from mekiki.datasets.models import MOST_REVIEWERS, Dataset, Image
from mekiki.learning.models import Head
from mekiki.review.models.gold import GoldImage
from mekiki.review.models.streams import OVERLAP_STREAMS, Stream


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
            # An item without a decision may be deleted with its image (datasets.services.undoing).
            pgtrigger.Trigger(
                name="keep_answered",
                when=pgtrigger.Before,
                operation=pgtrigger.Delete,
                func="""
                    IF EXISTS (SELECT FROM review_decision WHERE item_id = OLD.id) THEN
                        RAISE EXCEPTION 'an item with a decision stays';
                    END IF;
                    RETURN OLD;
                """,
            ),
            no_truncate(),
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
