"""Panels that explain a prediction."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from mekiki.datasets.models import Image
from mekiki.labeling.models import Label
from mekiki.learning.models import Head
from mekiki.review.models.queue import Lease


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
