"""Attribute agreement studies: several reviewers judge the same images several times, blind.

The answers of a study are kept in a table of their own. They never set a confirmed label, never train a head
and never enter the audit sample (docs/decisions/0045).
"""

from functools import reduce
from operator import or_

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only, fixed_columns, no_delete, set_by_database
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Job
from mekiki.labeling.models import Label

MIN_RUNS, MAX_RUNS = 2, 3
MAX_PAUSE_HOURS = 24 * 14
# Columns of a study that are fixed when it starts.
DESIGN = (
    "method",
    "images_wanted",
    "boundary_percent",
    "runs",
    "pause_hours",
    "reference",
    "seed",
    "started_at",
)


def fixed_after_start() -> pgtrigger.Trigger:
    """Return a trigger that refuses every change of a row of a study that is no draft any more."""
    return pgtrigger.Trigger(
        name="fixed_after_start",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        declare=[("changed", "bigint")],
        func="""
            IF TG_OP = 'DELETE' THEN changed := OLD.study_id; ELSE changed := NEW.study_id; END IF;
            IF EXISTS (SELECT FROM quality_study WHERE id = changed AND state <> 'draft') THEN
                RAISE EXCEPTION 'The study has started: its images, labels and reviewers are fixed';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )


class Study(models.Model):
    """An attribute agreement study of a dataset, with its design."""

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        RUNNING = "running", _("running")
        FINISHED = "finished", _("finished")
        CANCELLED = "cancelled", _("cancelled")

    class Method(models.TextChoices):
        STRATIFIED = "stratified", _("equal numbers for each label, a part of them hard")
        RANDOM = "random", _("random")

    class Reference(models.TextChoices):
        NONE = "none", _("no reference labels")
        CONFIRMED = "confirmed", _("the confirmed labels of the images")
        PERSON = "person", _("the answers of a reference person")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="studies")
    number = models.PositiveIntegerField()
    name = models.CharField(_("name"), max_length=100)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    method = models.CharField(max_length=10, choices=Method.choices)
    images_wanted = models.PositiveSmallIntegerField()
    # Percent of the images of a stratified study that are near the decision boundary.
    boundary_percent = models.PositiveSmallIntegerField(default=0)
    runs = models.PositiveSmallIntegerField()
    pause_hours = models.PositiveSmallIntegerField(default=0)  # between two runs of a reviewer
    reference = models.CharField(max_length=10, choices=Reference.choices)
    # Decides which images are drawn, and in which order each reviewer sees them in each run.
    seed = models.BigIntegerField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # finished or cancelled
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")  # of the report

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="one_study_per_number"),
            models.CheckConstraint(
                condition=models.Q(runs__gte=MIN_RUNS, runs__lte=MAX_RUNS), name="study_runs_in_range"
            ),
            models.CheckConstraint(
                condition=models.Q(boundary_percent__lte=100, pause_hours__lte=MAX_PAUSE_HOURS),
                name="study_design_in_range",
            ),
            models.CheckConstraint(
                condition=models.Q(state="draft", started_at__isnull=True, ended_at__isnull=True)
                | models.Q(state="running", started_at__isnull=False, ended_at__isnull=True)
                | models.Q(state="finished", started_at__isnull=False, ended_at__isnull=False)
                | models.Q(state="cancelled", ended_at__isnull=False),
                name="study_has_the_times_of_its_state",
            ),
        ]
        triggers = [
            *no_delete(),
            fixed_columns("dataset", "number", "created_by", "created_at"),
            set_by_database("created_at"),
            pgtrigger.Protect(
                name="fixed_design",
                operation=pgtrigger.Update,
                condition=~pgtrigger.Q(old__state="draft")
                & reduce(or_, (pgtrigger.Q(**{f"old__{c}__df": pgtrigger.F(f"new__{c}")}) for c in DESIGN)),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class StudyImage(models.Model):
    """An image of a study."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="images")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+")
    # The label for which a stratified study drew the image, and whether it was drawn as a hard image.
    drawn_for = models.ForeignKey(Label, null=True, on_delete=models.PROTECT, related_name="+")
    near_boundary = models.BooleanField(default=False)
    # The confirmed label at the start of the study, if the study compares with confirmed labels.
    reference_label = models.ForeignKey(Label, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["study", "image"], name="one_image_per_study")]
        triggers = [fixed_after_start()]

    def __str__(self) -> str:
        return f"{self.study_id}: {self.image_id}"


class StudyLabel(models.Model):
    """A label of the answers of a study. The labels and their critical marks are fixed at the start."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="labels")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveIntegerField()
    critical = models.BooleanField()

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["study", "label"], name="one_label_per_study")]
        triggers = [fixed_after_start()]

    def __str__(self) -> str:
        return f"{self.study_id}: {self.label_id}"


class StudyReviewer(models.Model):
    """A user who is invited to a study: a reviewer, or the reference person, who judges the images once."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="reviewers")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    is_reference = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["study", "user"], name="invited_once"),
            models.UniqueConstraint(
                fields=["study"], condition=models.Q(is_reference=True), name="one_reference_person"
            ),
        ]
        triggers = [fixed_after_start()]

    def __str__(self) -> str:
        return f"{self.study_id}: {self.user_id}"

    @property
    def runs(self) -> int:
        """Return how often this person judges every image."""
        return 1 if self.is_reference else self.study.runs


class StudyAnswer(models.Model):
    """What a reviewer said about an image in a run. Append-only: there is no undo in a study."""

    reviewer = models.ForeignKey(StudyReviewer, on_delete=models.PROTECT, related_name="answers")
    image = models.ForeignKey(StudyImage, on_delete=models.PROTECT, related_name="answers")
    run = models.PositiveSmallIntegerField()  # 1, 2, 3
    # Null: the reviewer could not judge the image, for example because it did not load.
    label = models.ForeignKey(Label, null=True, on_delete=models.PROTECT, related_name="+")
    # What the screen showed: blind (always true), place (1 is the first image of the run) and, with an
    # adjusted picture, view (review.adjustments).
    shown = models.JSONField(default=dict)
    milliseconds = models.PositiveIntegerField(null=True)  # from display to answer
    # The browser's id of the answer. An answer that is sent again after a lost reply is recorded only once.
    client_key = models.UUIDField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reviewer", "run", "image"], name="one_study_answer_per_run"),
            models.UniqueConstraint(fields=["reviewer", "client_key"], name="study_answer_recorded_once"),
            models.CheckConstraint(
                condition=models.Q(run__gte=1, run__lte=MAX_RUNS), name="study_answer_in_a_run"
            ),
        ]
        triggers = append_only(dated="created_at")

    # Not a column. The service sets it to True if the same client_key was already recorded.
    duplicate = False

    def __str__(self) -> str:
        return f"{self.reviewer_id} {self.image_id} run {self.run}"


class StudyReport(models.Model):
    """The figures of a finished study, computed by a worker. A repeated computation is the next version."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="reports")
    version = models.PositiveIntegerField()
    # The figures, in the format of mekiki.quality.reports. `digest` is the SHA-256 of the inputs: design,
    # images, reference labels and answers.
    figures = models.JSONField()
    digest = models.CharField(max_length=64)
    software = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["study", "version"], name="one_study_report_per_version")
        ]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return f"{self.study_id} v{self.version}"


class StudyReportFile(models.Model):
    """A report as a PDF file in one language, in the storage."""

    report = models.ForeignKey(StudyReport, on_delete=models.PROTECT, related_name="files")
    language = models.CharField(max_length=10)
    name = models.CharField(max_length=300)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["report", "language"], name="one_report_file_per_language")
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return self.name
