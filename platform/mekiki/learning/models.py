"""Encoders, embeddings, heads, training runs, predictions, and which head is in use."""

import uuid

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from pgvector.django import HalfVectorField

from mekiki.audit.triggers import append_only
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.errors import for_reader
from mekiki.jobs.models import Job
from mekiki.labeling.models import Label, PromptSet
from mekiki.learning.reports import EvaluationReportField, HeadMetricsField
from mekiki.learning.triggers import recorded_changes


class Encoder(models.Model):
    """An open_clip model with its weights. A different digest or precision makes a different encoder."""

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


class Embedding(models.Model):
    """The unit vector of one image by one encoder, in half precision."""

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


class Head(models.Model):
    """A classifier on embeddings. The database refuses changes after it was stored.

    `weights` is a safetensors file (never a pickle). `label_ids` gives the order of the classes.
    """

    class Kind(models.TextChoices):
        ZERO_SHOT = "zero_shot", _("zero-shot, by prompts")
        LOGISTIC = "logistic", _("logistic, trained on labels")
        GAUSSIAN = "gaussian", _("Gaussian, trained on labels")
        PLAIN = "plain", _("plain logistic, trained on labels")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="heads")
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=Kind.choices)
    encoder = models.ForeignKey(Encoder, on_delete=models.PROTECT)
    prompt_set = models.ForeignKey(PromptSet, on_delete=models.PROTECT)
    label_ids = ArrayField(models.BigIntegerField())
    weights = models.BinaryField()
    digest = models.CharField(max_length=64)  # SHA-256 of `weights`
    calibrated = models.BooleanField(default=False)
    n_labels = models.PositiveIntegerField(default=0)  # confirmed labels it was trained on
    decisions_digest = models.CharField(max_length=64, default="")
    seed = models.BigIntegerField(default=0)
    code_version = models.CharField(max_length=40)
    metrics = HeadMetricsField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["dataset", "version"], name="one_head_per_version")]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return f"#{self.version}"

    @property
    def is_trained(self) -> bool:
        """Return whether the head was trained on confirmed labels. A zero-shot head uses only prompts."""
        return self.kind != self.Kind.ZERO_SHOT


class HeadTrainingLabel(models.Model):
    """An image that a head was trained on, with its label and the decisions about it.

    `decision_id` is the decision that set the label. `others` are decisions of other reviewers. A decision
    never changes its label. If these name other labels, the image was used for each label, weighted by its
    share of the decisions.
    """

    pk = models.CompositePrimaryKey("head_id", "image_id")
    head = models.ForeignKey(Head, on_delete=models.CASCADE, related_name="training_labels")
    image = models.ForeignKey(Image, on_delete=models.CASCADE)
    label = models.ForeignKey(Label, on_delete=models.PROTECT)
    decision_id = models.BigIntegerField()
    others = ArrayField(models.BigIntegerField(), default=list)  # decision ids

    class Meta:
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.head_id}:{self.image_id}"


class Champion(models.Model):
    """The head in use in a dataset. Earlier champions are in the event log."""

    dataset = models.OneToOneField(Dataset, on_delete=models.CASCADE, related_name="champion")
    head = models.ForeignKey(Head, on_delete=models.PROTECT)
    since = models.DateTimeField(db_default=Now(), editable=False)
    reason = models.JSONField(default=dict)  # format: learning.reasons

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.head_id}"


class TrainingRun(models.Model):
    """One attempt to train a better head."""

    class Trigger(models.TextChoices):
        BUTTON = "button", _("by hand")
        COUNT = "count", _("after enough answers")
        SCHEDULE = "schedule", _("on schedule")
        LABELS = "labels", _("labels or prompts changed")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="training_runs")
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL)
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    head = models.OneToOneField(Head, null=True, on_delete=models.SET_NULL, related_name="run")
    promoted = models.BooleanField(default=False)
    reason = models.TextField(default="")  # why it did or did not replace the champion
    log = models.TextField(default="")  # format: learning.training_log
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"run {self.pk}"


class Evaluation(models.Model):
    """An estimate of a head's accuracy at one moment, from the audit stream only.

    The newest estimate of a head is the valid one. `answers` is the number of labels that reviewers had
    confirmed at that moment. It is the horizontal axis of the learning curve.
    """

    head = models.ForeignKey(Head, on_delete=models.CASCADE, related_name="evaluations")
    n = models.PositiveIntegerField()  # audited images
    correct = models.PositiveIntegerField()
    # The estimate if images are weighted by when they were imported. None: all weights are equal (correct /
    # n).
    share = models.FloatField(null=True)
    low = models.FloatField()  # 95 % interval of the estimate
    high = models.FloatField()
    # Images in strata (review.selectors.audit_strata) without an audited image. The estimate does not cover
    # them.
    left_out = models.PositiveBigIntegerField(default=0)
    # Counts of the other images that were drawn for the audit (learning.accuracy.AuditCounts).
    archived_label = models.PositiveIntegerField(default=0)  # part of n: they count as wrong
    judged_again = models.PositiveIntegerField(
        default=0
    )  # part of n: the first label is archived, and a later answer is used
    without_label = models.PositiveIntegerField(default=0)
    taken_back = models.PositiveIntegerField(default=0)
    retired = models.PositiveIntegerField(default=0)
    share_changed = models.PositiveIntegerField(default=0)
    prediction_shown = models.PositiveIntegerField(default=0)
    not_embedded = models.PositiveIntegerField(default=0)
    answers = models.PositiveIntegerField(default=0)
    report = EvaluationReportField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(correct__lte=models.F("n")), name="correct_at_most_n"),
            # An image whose label was archived counts as wrong.
            models.CheckConstraint(
                condition=models.Q(correct__lte=models.F("n") - models.F("archived_label")),
                name="archived_labels_are_wrong",
            ),
        ]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return f"{self.correct} of {self.n}"

    @property
    def accuracy(self) -> float | None:
        """Return the estimate in [0, 1], or None if no image was audited."""
        if self.share is not None:
            return self.share
        return self.correct / self.n if self.n else None


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
        TAKING_BACK = "taking_back", pgettext_lazy("encoder change", "being taken back")
        TAKEN_BACK = "taken_back", pgettext_lazy("encoder change", "taken back")
        FAILED = "failed", pgettext_lazy("encoder change", "failed")
        CANCELLED = "cancelled", pgettext_lazy("encoder change", "given up")

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
    )  # of the new encoder: device, seconds, context, prompts too long for it
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


class Prediction(models.Model):
    """The prediction of one head for one image.

    Predictions of a head are written in bulk and dropped when the head is replaced. Each head has its own
    partition, which `services.open_predictions` creates before the first insert. The indexes by label and by
    confidence belong to the partitions (`services.index_predictions`), so no migration contains them.
    Triggers replace the foreign keys (docs/decisions/0012): predictions are deleted with their image and
    their head.
    """

    pk = models.CompositePrimaryKey("head_id", "image_id")
    head = models.ForeignKey(Head, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    image = models.ForeignKey(
        Image, on_delete=models.DO_NOTHING, related_name="predictions", db_constraint=False, db_index=False
    )
    label = models.ForeignKey(
        Label, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    runner_up = models.ForeignKey(
        Label, null=True, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    confidence = models.FloatField()  # of `label`; calibrated if the head is calibrated
    margin = models.FloatField()  # confidence minus the confidence of the runner-up
    entropy = models.FloatField()  # nats

    def __str__(self) -> str:
        return f"{self.head_id}:{self.image_id}"
