"""Heads, training runs, evaluations, predictions, and which head is in use."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Job
from mekiki.labeling.models import Label, PromptSet
from mekiki.learning.models.encoders import Encoder
from mekiki.learning.reports import EvaluationReportField, HeadMetricsField


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
    # The detail descriptor whose vectors the head reads after the embedding. Null: the embedding alone.
    detail = models.ForeignKey(Encoder, on_delete=models.PROTECT, null=True, related_name="+")
    prompt_set = models.ForeignKey(PromptSet, on_delete=models.PROTECT)
    label_ids = ArrayField(models.BigIntegerField())
    weights = models.BinaryField()
    digest = models.CharField(max_length=64)  # SHA-256 of `weights`
    calibrated = models.BooleanField(default=False)
    n_labels = models.PositiveIntegerField(default=0)  # confirmed labels it was trained on
    decisions_digest = models.CharField(max_length=64, default="")
    seed = models.BigIntegerField(default=0)
    # The head was trained without the images of this saved view: its name and its filters. Empty: all images.
    without_view = models.CharField(max_length=80, blank=True, default="", db_default="")
    without_query = models.TextField(blank=True, default="", db_default="")
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

    `decision_id` is the decision that set the label, or the imported label if `imported` is set. `others` are
    decisions of other reviewers. A decision never changes its label. If these name other labels, the image
    was used for each label, weighted by its share of the decisions.
    """

    pk = models.CompositePrimaryKey("head_id", "image_id")
    head = models.ForeignKey(Head, on_delete=models.CASCADE, related_name="training_labels")
    image = models.ForeignKey(Image, on_delete=models.CASCADE)
    label = models.ForeignKey(Label, on_delete=models.PROTECT)
    decision_id = models.BigIntegerField()
    others = ArrayField(models.BigIntegerField(), default=list)  # decision ids
    # The label came with the image (review.ImportedLabel), and no reviewer has decided about the image.
    imported = models.BooleanField(default=False, db_default=False)
    # The id of the first image of its near-duplicates. Images with the same number are in one fold. Null: no
    # near-duplicate was known.
    near_group = models.BigIntegerField(null=True)

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
        BUTTON = "button", _("manual")
        COUNT = "count", _("after enough answers")
        SCHEDULE = "schedule", _("on schedule")
        LABELS = "labels", _("labels or prompts changed")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="training_runs")
    job = models.OneToOneField(Job, null=True, on_delete=models.SET_NULL)
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    head = models.OneToOneField(Head, null=True, on_delete=models.SET_NULL, related_name="run")
    # It trains without the images of this saved view: its name and its filters. Empty: all images.
    without_view = models.CharField(max_length=80, blank=True, default="", db_default="")
    without_query = models.TextField(blank=True, default="", db_default="")
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
    # Part of n: the head was trained on near-duplicates of these images. `near_trained_right`: correct ones.
    near_trained = models.PositiveIntegerField(default=0)
    near_trained_right = models.PositiveIntegerField(default=0)
    answers = models.PositiveIntegerField(default=0)
    # The share of right labels of all images: people's labels, and labels by this head elsewhere
    # (workers.evaluation.certificates.pool). Null: there is no figure.
    pool_share = models.FloatField(null=True)
    pool_low = models.FloatField(null=True)  # 95 % interval
    pool_high = models.FloatField(null=True)
    pool_people = models.PositiveBigIntegerField(default=0)  # images with a label of a person
    pool_machine = models.PositiveBigIntegerField(default=0)  # images with a label by machine
    # Part of pool_machine: the certified label differs from the head's prediction.
    pool_differing = models.PositiveBigIntegerField(default=0)
    # Images that the figure does not cover: no image of their import was audited, or they have no embedding.
    pool_left_out = models.PositiveBigIntegerField(default=0)
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
            models.CheckConstraint(
                condition=models.Q(pool_share=None, pool_low=None, pool_high=None)
                | models.Q(
                    pool_low__gte=0,
                    pool_low__lte=models.F("pool_share"),
                    pool_high__gte=models.F("pool_share"),
                    pool_high__lte=1,
                ),
                name="pool_figure_has_its_interval",
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

    @property
    def runner_up_confidence(self) -> float:
        """Return the confidence of the runner-up."""
        return confidence_of_runner_up(self.confidence, self.margin)


def confidence_of_runner_up(confidence: float, margin: float) -> float:
    """Return the confidence of the runner-up from the columns of a prediction.

    Scores are 32-bit numbers (workers/heads/scoring.py), so the seventh digit of the difference is not exact.
    """
    return round(max(0.0, confidence - margin), 6)
