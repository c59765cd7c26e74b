"""Label sets: frozen, signed exports."""

import pgtrigger
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job


class LabelSet(models.Model):
    """A frozen export of confirmed (and, if asked, machine-accepted) labels with their lineage."""

    class State(models.TextChoices):
        FREEZING = "freezing", _("being frozen")
        FROZEN = "frozen", _("frozen")
        FAILED = "failed", _("failed")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="label_sets")
    version = models.PositiveIntegerField()
    note = models.CharField(_("note"), max_length=300, blank=True, default="")
    include_images = models.BooleanField(_("with images"), default=False)
    # Machine labels at or above this calibrated confidence are included; null: people's only.
    machine_threshold = models.FloatField(null=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.FREEZING)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL)
    file = models.CharField(max_length=300, default="")  # in the storage
    size = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, default="")  # of the zip
    manifest_sha256 = models.CharField(max_length=64, default="")
    human_labels = models.PositiveIntegerField(default=0)
    machine_labels = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)
    frozen_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["dataset", "version"], name="one_label_set_per_version")]
        triggers = [
            pgtrigger.Protect(
                name="frozen", operation=pgtrigger.Update, condition=pgtrigger.Q(old__state="frozen")
            ),
        ]

    def __str__(self) -> str:
        return f"v{self.version}"
