"""The append-only record of what happened, by whom."""

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import F
from django.db.models.functions import Now

from mekiki.audit.triggers import append_only


class Event(models.Model):
    """One act. Never changed, never deleted: the database refuses both.

    Names are copied beside the ids, so that an event reads the same after a user or dataset is renamed.
    """

    at = models.DateTimeField(db_default=Now(), editable=False)
    kind = models.CharField(max_length=60)  # "dataset.created", "head.promoted" …
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150, default="")  # "" is the platform itself
    dataset_id = models.BigIntegerField(null=True)
    object_type = models.CharField(max_length=40, default="")
    object_id = models.CharField(max_length=64, default="")
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["dataset_id", "-at", "-id"], name="event_of_dataset_by_time"),
            models.Index(fields=["-at", "-id"], name="event_by_time"),
            # The operator class also finds kinds by their beginning.
            models.Index(
                OpClass("kind", name="varchar_pattern_ops"),
                F("at").desc(),
                F("id").desc(),
                name="event_by_kind",
            ),
            models.Index(fields=["actor_name", "-at", "-id"], name="event_by_actor"),
            # The changes of the audit share decide which images belong to the reserve: asked by every page with images.
            models.Index(
                fields=["dataset_id"],
                condition=models.Q(kind="dataset.settings_changed"),
                name="event_of_settings",
            ),
        ]
        triggers = append_only(dated="at")

    def __str__(self) -> str:
        return f"{self.kind} {self.object_type} {self.object_id}"
