"""Tables about reviewers: parts of the queue assigned to them, and their requalification."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label

# Most characters of a metadata key and of its value in an assignment.
KEY_LENGTH, VALUE_LENGTH = 100, 200


class Assignment(models.Model):
    """A part of the queue that a reviewer gets first: a predicted label, or a value of the images' metadata.

    Items of blind streams belong to no part (docs/decisions/0044).
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="assignments")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="assignments")
    label = models.ForeignKey(Label, null=True, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=KEY_LENGTH, blank=True, default="")
    value = models.CharField(max_length=VALUE_LENGTH, blank=True, default="")
    # True: only reviewers with this part get its items. False: others get them when nothing else waits.
    strict = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(label__isnull=False, key="", value="")
                | (models.Q(label__isnull=True) & ~models.Q(key="") & ~models.Q(value="")),
                name="assignment_is_one_part",
            ),
            models.UniqueConstraint(
                fields=["dataset", "user", "label"],
                condition=models.Q(label__isnull=False),
                name="label_assigned_once",
            ),
            models.UniqueConstraint(
                fields=["dataset", "user", "key", "value"],
                condition=models.Q(label__isnull=True),
                name="metadata_assigned_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.label_id or f'{self.key}={self.value}'}"


class Requalification(models.Model):
    """A short test on gold images that a reviewer must pass before going on."""

    class State(models.TextChoices):
        DUE = "due", _("due")
        RUNNING = "running", _("test begun")
        PASSED = "passed", _("passed")
        FAILED = "failed", _("not passed")
        REPEATED = "repeated", _("not passed, test offered again")
        WAIVED = "waived", _("waived by an admin")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="requalifications")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State.choices, default=State.DUE)
    # The answers on gold images that made it due.
    gold_right = models.PositiveIntegerField()
    gold_answers = models.PositiveIntegerField()
    bound = models.FloatField()  # Dataset.gold_bound at that time
    asked = models.PositiveSmallIntegerField(default=0)
    right = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    begun_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # passed, not passed, or waived
    # The admin who waived the test or offered it again.
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "user"],
                condition=models.Q(state__in=["due", "running", "failed"]),
                name="one_open_requalification",
            ),
            models.CheckConstraint(condition=models.Q(right__lte=models.F("asked")), name="right_of_asked"),
            models.CheckConstraint(
                condition=models.Q(gold_right__lte=models.F("gold_answers")), name="gold_right_of_answers"
            ),
            models.CheckConstraint(
                condition=models.Q(state="due", begun_at__isnull=True, ended_at__isnull=True)
                | models.Q(state="running", begun_at__isnull=False, ended_at__isnull=True)
                | models.Q(state__in=["passed", "failed"], begun_at__isnull=False, ended_at__isnull=False)
                | models.Q(state__in=["repeated", "waived"], ended_at__isnull=False, closed_by__isnull=False),
                name="requalification_has_its_times",
            ),
        ]
        indexes = [models.Index(fields=["dataset", "user", "-id"], name="requalification_newest")]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.state}"


# The states in which the reviewer gets no images.
BLOCKING_STATES = (
    Requalification.State.DUE,
    Requalification.State.RUNNING,
    Requalification.State.FAILED,
)


class RequalificationQuestion(models.Model):
    """One gold image of a test, with its known label and the answer."""

    requalification = models.ForeignKey(Requalification, on_delete=models.CASCADE, related_name="questions")
    position = models.PositiveSmallIntegerField()
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.PROTECT, related_name="+")
    answer = models.ForeignKey(Label, null=True, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["requalification", "position"], name="one_question_at_a_position"
            ),
            models.UniqueConstraint(fields=["requalification", "image"], name="image_asked_once"),
            models.CheckConstraint(
                condition=models.Q(answer__isnull=True, answered_at__isnull=True)
                | models.Q(answer__isnull=False, answered_at__isnull=False),
                name="answer_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.requalification_id} #{self.position}"
