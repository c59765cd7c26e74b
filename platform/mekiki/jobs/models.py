"""Background work. PostgreSQL is the truth; the broker only wakes workers up."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.jobs.errors import for_reader


class Identity(models.Func):
    """The next number of an identity column. Used as a default alone; the column is made by migration 0013."""

    template = "DEFAULT"
    arity = 0
    output_field = models.BigIntegerField()


class State(models.TextChoices):
    QUEUED = "queued", _("waiting")
    RUNNING = "running", _("running")
    SUCCEEDED = "succeeded", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


ACTIVE_STATES = (State.QUEUED, State.RUNNING)
ENDED_EARLY = (State.FAILED, State.CANCELLED)


class Kind(models.TextChoices):
    """Each kind is the Celery task workers.tasks.<kind>."""

    IMPORT_IMAGES = "import_images", _("Import images")
    ENCODE = "encode", _("Compute embeddings")
    PREDICT = "predict", _("Predict by prompts")
    TRAIN = "train", _("Retrain")
    REFILL = "refill", _("Choose the next images")
    FREEZE = "freeze", _("Freeze label set")
    CHANGE_ENCODER = "change_encoder", _("Change the encoder")
    REMOVE_EMBEDDINGS = "remove_embeddings", _("Remove embeddings")
    INDEX = "index", _("Build the search index")
    VERIFY_HEAD = "verify_head", _("Repeat a training")
    SEAL = "seal", _("Seal events and answers")
    CHECK_SEALS = "check_seals", _("Check the seals")
    REBUILD_PICTURES = "rebuild_pictures", _("Make display pictures again")


class Job(models.Model):
    """One durable piece of background work.

    `key` makes asking twice harmless: at most one active job has a given key. `attempt` is the fencing
    token: a worker writes progress and outcome only while the attempt it claimed is the current one. Whether that
    worker lives is seen from `beats` alone: jobs.sweeping watches the number, and compares no times. Times are the
    database's (config/clock.py).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Counts up in the order in which jobs are asked for, whatever the clock is set to. The newest job has the largest.
    number = models.BigIntegerField(unique=True, editable=False, db_default=Identity())
    kind = models.CharField(max_length=20, choices=Kind.choices)
    dataset = models.ForeignKey("datasets.Dataset", null=True, on_delete=models.CASCADE, related_name="jobs")
    key = models.CharField(max_length=120)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    # Raised with each sign of life of the worker.
    beats = models.PositiveBigIntegerField(default=0)
    # The worker that has it: unique for each start of a worker's main process.
    holder = models.CharField(max_length=200, default="")
    # That worker was asked to stop (a restart, an update): should it not finish the job, that is no death.
    holder_stops = models.BooleanField(default=False)
    # Workers that died while they did this job, since it last got past what had killed them.
    deaths = models.PositiveIntegerField(default=0)
    # Times it was put back because of an error that may pass, such as a lost database.
    retries = models.PositiveIntegerField(default=0)
    # It fails for good at the death, or the error, that comes after this many tries.
    max_attempts = models.PositiveIntegerField(default=5)
    cancel_requested = models.BooleanField(default=False)
    # Set when the same work was asked for while this job was running: it is asked for again at the end.
    rerun_requested = models.BooleanField(default=False)
    stage = models.CharField(max_length=200, default="")
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    rate = models.FloatField(default=0)  # items per second
    unit = models.CharField(max_length=20, default="")
    result = models.JSONField(default=dict)
    # Why it ended early: in the language of who asked for it, and in every language ({language: sentence}).
    error = models.TextField(default="")
    error_texts = models.JSONField(default=dict)
    # Workers (host names) that may not do this job, and when the last of them put it back: another one takes it.
    declined_by = ArrayField(models.CharField(max_length=200), default=list)
    declined_at = models.DateTimeField(null=True)
    # Why it waits although a worker is there: one of jobs.waiting's reasons, or "".
    waiting_for = models.CharField(max_length=20, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(state__in=ACTIVE_STATES), name="one_active_job_per_key"
            ),
            models.CheckConstraint(condition=models.Q(state__in=State.values), name="job_state_is_known"),
        ]
        indexes = [
            models.Index(fields=["dataset", "-created_at"], name="job_of_dataset"),
            models.Index(fields=["state"], condition=models.Q(state__in=ACTIVE_STATES), name="job_is_active"),
            models.Index(fields=["holder"], condition=models.Q(state="running"), name="job_by_holder"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"

    @property
    def error_for_reader(self) -> str:
        """Why it ended early, in the reader's language where it is known in it."""
        return for_reader(self.error_texts) or self.error


class InHand(models.Model):
    """What a worker looks at now and may be killed by; see jobs.in_hand. The row goes when the work is done."""

    scope = models.CharField(
        max_length=120, primary_key=True
    )  # "import 7", "encode 2 14": an encoder, a chunk
    items = models.JSONField(default=list)  # in hand, or under suspicion since an earlier death
    alone = models.CharField(
        max_length=200, default=""
    )  # the one item that is in hand alone; empty: several are
    deaths_alone = models.JSONField(default=dict)  # item → workers that died while it was alone in hand
    set_aside = models.JSONField(default=list)  # not to be touched any more

    def __str__(self) -> str:
        return self.scope
