"""Explanations of a prediction: vectors of single prompts, and heat maps. Workers fill in both caches."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _
from pgvector.django import VectorField

from mekiki.datasets.models import Image
from mekiki.labeling.models import Label, Prompt
from mekiki.learning.models.encoders import Encoder
from mekiki.learning.models.heads import Head


class PromptEmbedding(models.Model):
    """The unit vector of one prompt by one encoder, or the reason why there is none.

    A page creates the row, and a worker fills it in. Heads store only the class embeddings that follow from
    the vectors of all prompts of a label.
    """

    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="+")
    vector = VectorField(null=True)  # float32, so that the shares of the prompts add up to the score
    problem = models.CharField(max_length=20, default="")  # a code of learning.messages.EXPLANATIONS
    detail = models.JSONField(default=dict)
    asked_at = models.DateTimeField(null=True)  # when the last request to a worker was sent
    began_at = models.DateTimeField()  # when somebody began to wait
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["encoder", "prompt"], name="one_vector_per_prompt"),
            models.CheckConstraint(
                condition=models.Q(vector__isnull=True) | models.Q(problem=""),
                name="prompt_vector_or_problem",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.encoder_id}: {self.prompt_id}"


class HeatMap(models.Model):
    """Which parts of an image change the lead of a label over another, by one head.

    A page creates the row, and a worker fills it in. The map is a grid over the part of the image that the
    encoder sees. `values` are changes of the lead: positive values support `label`. The rows are a cache,
    from which the least recently used maps are deleted (learning.explaining.heat_maps).
    """

    class Method(models.TextChoices):
        OCCLUSION = "occlusion", _("occlusion")
        GRADIENT = "gradient", _("integrated gradients")

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="+")
    head = models.ForeignKey(Head, on_delete=models.CASCADE, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="+", db_index=False)
    # The label that `label` is compared with. Null: the mean of all other labels.
    runner_up = models.ForeignKey(
        Label, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    recipe = models.PositiveSmallIntegerField()  # version of methods and parameters
    method = models.CharField(max_length=10, choices=Method.choices, default="")  # what the worker used
    rows = models.PositiveSmallIntegerField(default=0)
    columns = models.PositiveSmallIntegerField(default=0)
    values = models.BinaryField(default=b"")  # (rows, columns) float32, row by row, little-endian
    digest = models.CharField(max_length=64, default="")  # SHA-256 of `values`
    # Left, top, right and bottom of what the encoder sees, as shares of the image's width and height.
    view = ArrayField(models.FloatField(), default=list)
    lead = models.FloatField(null=True)  # of the image
    blurred_lead = models.FloatField(null=True)  # of the blurred image, which the map starts from
    # Where the fine structure of the whole image is (workers/encoders/energy_map.py), stored like `values`.
    energy = models.BinaryField(default=b"", db_default=b"")
    energy_rows = models.PositiveSmallIntegerField(default=0, db_default=0)
    energy_columns = models.PositiveSmallIntegerField(default=0, db_default=0)
    problem = models.CharField(max_length=20, default="")  # a code of learning.messages.EXPLANATIONS
    detail = models.JSONField(default=dict)
    done = models.PositiveIntegerField(default=0)  # images computed
    total = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    asked_at = models.DateTimeField(null=True)  # when the last request to a worker was sent
    began_at = models.DateTimeField()  # when somebody began to wait
    answered_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["image", "head", "label", "runner_up", "recipe"],
                nulls_distinct=False,
                name="one_heat_map_per_question",
            ),
            # A map costs a second of a processor or more, so a person has one in work.
            models.UniqueConstraint(
                fields=["created_by"],
                condition=models.Q(answered_at__isnull=True),
                name="one_open_heat_map_per_user",
            ),
            models.CheckConstraint(
                condition=models.Q(values=b"") | models.Q(problem=""), name="heat_map_or_problem"
            ),
        ]
        indexes = [models.Index(fields=["used_at"], name="heat_map_by_use")]

    def __str__(self) -> str:
        return f"{self.head_id}: {self.image_id}"
