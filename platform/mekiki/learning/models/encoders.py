"""Encoders, the vectors that they computed, and what they cannot read."""

import uuid

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from pgvector.django import HalfVectorField

from mekiki.audit.triggers import append_only
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Prompt
from mekiki.learning.triggers import recorded_changes


class Encoder(models.Model):
    """An open_clip model with its weights, or a version of the detail descriptor.

    A different digest or precision makes a different encoder. The detail descriptor
    (workers/encoders/detail.py) reads no texts. Its vectors are stored, copied and removed like embeddings.
    """

    class Kind(models.TextChoices):
        IMAGE_TEXT = "image_text"
        DETAIL = "detail"

    kind = models.CharField(
        max_length=10, choices=Kind.choices, default=Kind.IMAGE_TEXT, db_default=Kind.IMAGE_TEXT
    )
    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)  # SHA-256 of the weights
    precision = models.CharField(max_length=10, default="fp32")
    dim = models.PositiveIntegerField()
    logit_scale = models.FloatField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "digest", "precision"], name="one_encoder_per_digest"),
        ]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return self.name


class EncoderProbe(models.Model):
    """Reference vectors that the first worker computed with an encoder from fixed images and sentences.

    Every worker computes the same vectors. It embeds images only if they agree with the reference vectors
    (docs/decisions/0020).
    """

    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE, related_name="probes")
    version = models.PositiveSmallIntegerField()  # of the fixed images and sentences
    vectors = models.BinaryField()  # (n, d) float32, row by row, little-endian
    host = models.CharField(max_length=200)
    processor = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["encoder", "version"], name="one_probe_per_version")]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return f"{self.encoder_id}: {self.version}"


class WorkerDifference(models.Model):
    """A worker whose vectors differ from the reference vectors of an encoder.

    Such a worker embeds nothing with this encoder.
    """

    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE, related_name="differences")
    host = models.CharField(max_length=200)
    processor = models.CharField(max_length=200)
    cosine = models.FloatField()  # smallest cosine to the reference vectors
    least = models.FloatField()  # smallest allowed cosine
    seen_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["encoder", "host"], name="one_difference_per_worker")]

    def __str__(self) -> str:
        return f"{self.host}: {self.cosine}"


class WorkerReport(models.Model):
    """Facts about a worker's machine, reported when the worker starts or loads an encoder.

    Pages use them to recommend encoders.
    """

    host = models.CharField(max_length=200, unique=True)
    device = models.CharField(max_length=40)  # cpu, cuda, cuda:1 …
    gpu = models.CharField(max_length=200, default="")
    memory = models.BigIntegerField(default=0)  # bytes
    cpus = models.PositiveIntegerField(default=0)
    seen_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.host}: {self.device}"


class Embedding(models.Model):
    """The unit vector of one image by one encoder, or its detail descriptor, in half precision."""

    pk = models.CompositePrimaryKey("encoder_id", "image_id")
    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE)
    image = models.ForeignKey(Image, on_delete=models.CASCADE)
    vector = HalfVectorField()

    class Meta:
        triggers = [
            # Copies of the vectors are updated only from added and removed rows, so a row must never change.
            pgtrigger.Protect(name="immutable", operation=pgtrigger.Update),
            *recorded_changes(),
        ]

    def __str__(self) -> str:
        return f"{self.encoder_id}:{self.image_id}"


class EmbeddingChange(models.Model):
    """A log row for one SQL statement that added or removed embeddings of a dataset.

    The triggers of `Embedding` write these rows. A log row becomes visible at the same moment as its
    embeddings, also with concurrent writers. So a copy that has applied all log rows contains all embeddings.
    The id is random, so that a database restored from a backup is not mistaken for the copied database. `low`
    and `high` bound the image ids.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # No foreign keys: log rows stay after their encoder or dataset is deleted, and that deletion is logged
    # too.
    encoder = models.ForeignKey(Encoder, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    low = models.BigIntegerField()
    high = models.BigIntegerField()
    rows = models.BigIntegerField()  # negative if the embeddings were removed

    class Meta:
        indexes = [models.Index(fields=["encoder", "dataset"], name="embedding_change_of")]

    def __str__(self) -> str:
        return f"{self.rows:+} in {self.low}–{self.high}"


class EmbeddingRemoval(models.Model):
    """One removal of a dataset's embeddings by an encoder.

    Heads made before it cannot be repeated exactly.
    """

    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE, related_name="removals")
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="embedding_removals")
    removed = models.PositiveBigIntegerField()  # embeddings
    removed_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = append_only(dated="removed_at")

    def __str__(self) -> str:
        return f"{self.removed} of {self.encoder_id}"


class TextEmbedding(models.Model):
    """A search text with its unit vector by one encoder, or the reason why it has no vector.

    A page creates the row, and a worker fills it in. The rows are a cache, from which the least recently used
    texts are deleted (learning.search.texts).
    """

    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64)  # SHA-256 of `text`
    text = models.CharField(max_length=200)
    vector = HalfVectorField(null=True)
    problem = models.CharField(max_length=20, default="")  # a code of learning.search.texts
    detail = models.JSONField(default=dict)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    asked_at = models.DateTimeField(null=True)  # when the last request to a worker was sent
    answered_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["encoder", "digest"], name="one_vector_per_text"),
            models.CheckConstraint(
                condition=models.Q(vector__isnull=True) | models.Q(problem=""), name="vector_or_problem"
            ),
        ]
        indexes = [
            models.Index(fields=["used_at"], name="text_embedding_by_use"),
            models.Index(
                fields=["asked_at"], condition=models.Q(answered_at__isnull=True), name="text_embedding_open"
            ),
        ]

    def __str__(self) -> str:
        return self.text


class EncodingProblem(models.Model):
    """An image that the encoder could not read, with the reason. The other images are still embedded."""

    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE)
    image = models.ForeignKey(Image, on_delete=models.CASCADE)
    reason = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["encoder", "image"], name="one_encoding_problem_per_image")
        ]

    def __str__(self) -> str:
        return self.reason


class LongPrompt(models.Model):
    """A prompt that is longer than an encoder reads. Only its beginning has an effect."""

    encoder = models.ForeignKey(Encoder, on_delete=models.CASCADE, related_name="long_prompts")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="+")
    tokens = models.PositiveIntegerField()  # of the prompt
    context = models.PositiveIntegerField()  # tokens that the encoder reads

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["encoder", "prompt"], name="long_prompt_once"),
            models.CheckConstraint(
                condition=models.Q(tokens__gt=models.F("context")), name="long_prompt_exceeds_context"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prompt_id}: {self.tokens} of {self.context}"

    @property
    def label(self) -> str:
        """Return the name of the prompt's label."""
        return self.prompt.label.name

    def as_json(self) -> dict[str, str | int]:
        """Return label, prompt, tokens and context, for the metrics of a head and the result of a job."""
        return {
            "label": self.label,
            "prompt": self.prompt.text,
            "tokens": self.tokens,
            "context": self.context,
        }
