"""Columns of a dataset about its reviewers: whether its queue is divided, when they must requalify."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

# The largest value of requalification_questions.
MAX_QUESTIONS = 50
# Limits of gold_bound in a form.
MIN_BOUND, MAX_BOUND = 0.01, 0.99
# The smallest value of gold_bound_answers.
MIN_BOUND_ANSWERS = 5


class ReviewerColumns(models.Model):
    """Columns of Dataset. A class of its own, because the file of Dataset is long."""

    # True while an assignment of the dataset exists (review.services.assignments). The query for the next
    # images asks for assignments only then.
    queue_is_divided = models.BooleanField(default=False, editable=False)
    # A reviewer must requalify if the 95 % interval of the reviewer's accuracy on gold images is below this
    # bound. Null: nobody must.
    gold_bound = models.FloatField(
        _("least accuracy on gold images"),
        null=True,
        blank=True,
        validators=[MinValueValidator(MIN_BOUND), MaxValueValidator(MAX_BOUND)],
    )
    # The bound applies from this number of answers on gold images.
    gold_bound_answers = models.PositiveIntegerField(
        _("answers on gold images before the bound applies"),
        default=20,
        validators=[MinValueValidator(MIN_BOUND_ANSWERS)],
    )
    requalification_questions = models.PositiveSmallIntegerField(
        _("questions of the requalification test"),
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_QUESTIONS)],
    )

    class Meta:
        abstract = True


REVIEWER_CONSTRAINTS = (
    models.CheckConstraint(
        condition=models.Q(gold_bound__isnull=True) | models.Q(gold_bound__gt=0, gold_bound__lt=1),
        name="gold_bound_in_range",
    ),
    models.CheckConstraint(
        condition=models.Q(gold_bound_answers__gte=1)
        & models.Q(requalification_questions__gte=1, requalification_questions__lte=MAX_QUESTIONS),
        name="requalification_asks_questions",
    ),
)
