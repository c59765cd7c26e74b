"""Changes of the encoder of a dataset."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import pgettext_lazy

from mekiki.datasets.models import Dataset
from mekiki.jobs.errors import for_reader
from mekiki.jobs.models import Job
from mekiki.learning.models.encoders import Encoder
from mekiki.learning.models.heads import Head


class EncoderChange(models.Model):
    """A change of a dataset's encoder.

    The new encoder is prepared while the old encoder stays in use. One recorded step switches over, and one
    recorded step takes the switch back. `created_by` is null if the platform started the change because the
    weights behind a name were replaced. In an ACTING state a job works on the change. While a change is in an
    OPEN state, no other change of the dataset can start.
    """

    class State(models.TextChoices):
        PREPARING = "preparing", pgettext_lazy("encoder change", "being prepared")
        READY = "ready", pgettext_lazy("encoder change", "ready to switch")
        SWITCHING = "switching", pgettext_lazy("encoder change", "switching over")
        SWITCHED = "switched", pgettext_lazy("encoder change", "switched over")
        TAKING_BACK = "taking_back", pgettext_lazy("encoder change", "being reverted")
        TAKEN_BACK = "taken_back", pgettext_lazy("encoder change", "reverted")
        FAILED = "failed", pgettext_lazy("encoder change", "failed")
        CANCELLED = "cancelled", pgettext_lazy("encoder change", "cancelled")

    ACTING = (State.PREPARING, State.SWITCHING, State.TAKING_BACK)
    OPEN = (*ACTING, State.READY)

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="encoder_changes")
    from_name = models.CharField(max_length=200)
    from_encoder = models.ForeignKey(Encoder, null=True, on_delete=models.PROTECT, related_name="+")
    from_head = models.ForeignKey(Head, null=True, on_delete=models.SET_NULL, related_name="+")
    to_name = models.CharField(max_length=200)
    to_encoder = models.ForeignKey(Encoder, null=True, on_delete=models.PROTECT, related_name="+")
    to_head = models.ForeignKey(Head, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=12, choices=State.choices, default=State.PREPARING)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    # Why the last step failed: a code for programs, the sentence in the requester's language, and in every
    # language.
    error_code = models.CharField(max_length=40, default="")
    error = models.TextField(default="")
    error_texts = models.JSONField(default=dict)
    facts = models.JSONField(
        default=dict
    )  # of the new encoder at its preparation: device, seconds, context, long prompts
    comparison = models.JSONField(default=dict)  # old and new encoder; format: workers.steps.comparing
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ready_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # switched over, taken back, failed or given up

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset"],
                condition=models.Q(state__in=["preparing", "ready", "switching", "taking_back"]),
                name="one_open_encoder_change",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state__in=[
                        "preparing",
                        "ready",
                        "switching",
                        "switched",
                        "taking_back",
                        "taken_back",
                        "failed",
                        "cancelled",
                    ]
                ),
                name="encoder_change_state_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.from_name} → {self.to_name}"

    @property
    def error_for_reader(self) -> str:
        """Return why the last step failed, in the user's language if that text is stored."""
        return for_reader(self.error_texts) or self.error
