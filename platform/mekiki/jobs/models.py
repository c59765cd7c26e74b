"""Jobs: the background work. PostgreSQL is authoritative; the broker only wakes the workers."""

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.jobs.errors import translate_stored_text
from mekiki.jobs.kinds import Kind as Kind


class Identity(models.Func):
    """The next number of an identity column, for use as a column default only.

    The first migration creates the column.
    """

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
UNSUCCESSFUL_STATES = (State.FAILED, State.CANCELLED)


class Job(models.Model):
    """One unit of background work, stored in the database.

    At most one active job has a given `key`, so the same work can be requested twice without harm. `attempt`
    is the fencing token: a worker writes progress and outcome only while the attempt that it claimed is the
    current one.

    Only `beats` shows whether the worker is alive: jobs.sweeping watches this number and compares no times.
    All times come from the database (config/clock.py).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Counts up in the order in which jobs are requested. It does not depend on the clock.
    number = models.BigIntegerField(unique=True, editable=False, db_default=Identity())
    kind = models.CharField(max_length=20, choices=Kind.choices)
    dataset = models.ForeignKey("datasets.Dataset", null=True, on_delete=models.CASCADE, related_name="jobs")
    key = models.CharField(max_length=120)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    # Increased at each heartbeat of the worker.
    beats = models.PositiveBigIntegerField(default=0)
    # The worker that has claimed the job. The value is unique for each start of a worker's main process.
    holder = models.CharField(max_length=200, default="")
    # The worker was asked to stop (a restart, an update). An unfinished job then counts as no death.
    holder_stops = models.BooleanField(default=False)
    # How many workers died during this job since forget_deaths was last called.
    deaths = models.PositiveIntegerField(default=0)
    # How often the job went back to the queue because of a temporary error, such as a lost database.
    retries = models.PositiveIntegerField(default=0)
    # The job fails permanently when its deaths, or its tries that ended with a temporary error, reach it.
    max_attempts = models.PositiveIntegerField(default=5)
    cancel_requested = models.BooleanField(default=False)
    # A user paused the job. It goes back to the queue and is not started until the user resumes it.
    paused = models.BooleanField(default=False, db_default=False)
    # Set when the same work was requested while this job was running. It is requested again at the end.
    rerun_requested = models.BooleanField(default=False)
    stage = models.CharField(max_length=200, default="")
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    rate = models.FloatField(default=0)  # items per second
    unit = models.CharField(max_length=20, default="")
    result = models.JSONField(default=dict)
    # Why the job ended early, in the language of the user who requested it, and in every language
    # ({language: sentence}).
    error = models.TextField(default="")
    error_texts = models.JSONField(default=dict)
    # Workers (host names) that may not do this job, and when the last of them declined it.
    declined_by = ArrayField(models.CharField(max_length=200), default=list)
    declined_at = models.DateTimeField(null=True)
    # Why the job waits although a worker is free: one of the reasons of jobs.waiting, or "".
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
        """Return why the job ended early, in the language of the reader if the text exists in it."""
        return translate_stored_text(self.error_texts) or self.error


class InHand(models.Model):
    """The items that a worker is processing now and that may kill it; see jobs.in_hand.

    The row is deleted when the work is finished.
    """

    # Examples: "import 7", and "encode 2 14" for an encoder and a chunk.
    scope = models.CharField(max_length=120, primary_key=True)
    # Items that are being processed, or that are suspects since an earlier death.
    items = models.JSONField(default=list)
    # The item that is processed alone; empty when several are processed together.
    alone = models.CharField(max_length=200, default="")
    # item → how many workers died while they processed it alone
    deaths_alone = models.JSONField(default=dict)
    # Items that are not processed any more.
    set_aside = models.JSONField(default=list)

    def __str__(self) -> str:
        return self.scope
