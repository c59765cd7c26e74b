"""Trials of prompts: what a draft of prompts would change. The search worker computes them."""

from django.conf import settings
from django.db import models

from mekiki.datasets.models import Dataset
from mekiki.learning.models.encoders import Encoder


class PromptTrial(models.Model):
    """The zero-shot labels by some prompts, compared with those by other prompts: counts and examples.

    The workbench creates the row, and the search worker fills it in. The rows are a cache, from which the
    least recently used are deleted (learning.prompt_trials).
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="+")
    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)  # SHA-256 of the question: prompts, and number of images
    prompts = models.JSONField()  # label id (a string) → prompts
    before = models.JSONField(default=dict)  # the prompts to compare with, or empty
    result = models.JSONField(null=True)  # format: learning.prompt_trials
    problem = models.CharField(max_length=20, default="")  # a code of learning.messages.TRIALS
    detail = models.JSONField(default=dict)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    asked_at = models.DateTimeField(null=True)  # when the last request to a worker was sent
    began_at = models.DateTimeField()  # when somebody began to wait
    answered_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "encoder", "digest"], name="one_trial_per_question"),
            models.CheckConstraint(
                condition=models.Q(result__isnull=True) | models.Q(problem=""),
                name="trial_result_or_problem",
            ),
        ]
        indexes = [models.Index(fields=["used_at"], name="prompt_trial_by_use")]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.digest[:12]}"
