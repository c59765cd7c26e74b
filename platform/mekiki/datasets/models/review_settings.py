"""Settings of a dataset about its review: overlap, viewing times, tests of reviewers, requalification.

They are columns of the dataset, because almost every query of the review has the dataset already. The review
app uses them: review.overlap, review.services.mixing, review.requalification.
"""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

# Limits of Dataset.grid_image_ms. People who search for an odd item among similar ones need 25 to 60 ms for
# each item (Wolfe, Psychological Science 9:33, 1998). A faster page cannot have been searched.
MIN_GRID_IMAGE_MS = 100
MAX_GRID_IMAGE_MS = 10_000
MOST_REVIEWERS = 9  # the largest overlap
# Default and limits of Dataset.min_display_ms. The brain needs about 150 ms to recognize an animal in a
# photograph, before the hand moves (Thorpe, Fize & Marlot, Nature 381:520, 1996). People answer in under
# 400 ms (VanRullen & Thorpe, Perception 30:655, 2001). An answer within 200 ms cannot be a judgement.
DEFAULT_DISPLAY_MS, LEAST_DISPLAY_MS, MOST_DISPLAY_MS = 200, 150, 10_000
# The largest value of gold_share and of repeat_share.
MAX_TEST_SHARE = 0.2
# The largest value of gold_days and of repeat_days.
MAX_TEST_DAYS = 3650
# The largest value of requalification_questions.
MAX_QUESTIONS = 50
# Limits of gold_bound in a form.
MIN_BOUND, MAX_BOUND = 0.01, 0.99
# The smallest value of gold_bound_answers.
MIN_BOUND_ANSWERS = 5


class ReviewSettings(models.Model):
    """The columns of Dataset about its review."""

    # How many reviewers decide each image.
    overlap = models.PositiveSmallIntegerField(_("overlap: reviewers for each image"), default=1)
    # The least overlap of images whose prediction or answer is a critical label (review.overlap).
    critical_overlap = models.PositiveSmallIntegerField(
        _("least overlap of critical labels"), default=1, db_default=1
    )
    # Adjudicators see the answers without the names of the reviewers.
    hide_names_from_adjudicators = models.BooleanField(
        _("hide the names of the reviewers from adjudicators"), default=True, db_default=True
    )
    # A page of the grid review accepts an answer after this time for each of its images.
    grid_image_ms = models.PositiveIntegerField(
        _("grid review: milliseconds for each image"),
        default=MIN_GRID_IMAGE_MS,
        validators=[MinValueValidator(MIN_GRID_IMAGE_MS), MaxValueValidator(MAX_GRID_IMAGE_MS)],
    )
    # An answer is accepted after the image was on the screen for this time.
    min_display_ms = models.PositiveIntegerField(
        _("shortest viewing time in milliseconds"),
        default=DEFAULT_DISPLAY_MS,
        validators=[MinValueValidator(LEAST_DISPLAY_MS), MaxValueValidator(MOST_DISPLAY_MS)],
    )
    # Shares of the images that a reviewer judges. They measure the reviewer (review.services.mixing).
    gold_share = models.FloatField(
        _("share of gold images"),
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(MAX_TEST_SHARE)],
    )
    # A reviewer is asked about the same gold image again after this many days.
    gold_days = models.PositiveSmallIntegerField(
        _("days between two answers to a gold image"),
        default=30,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_TEST_DAYS)],
    )
    repeat_share = models.FloatField(
        _("share of hidden repeats"),
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(MAX_TEST_SHARE)],
    )
    # A reviewer's own image is repeated after this many days at the earliest.
    repeat_days = models.PositiveSmallIntegerField(
        _("days before a hidden repeat"),
        default=7,
        validators=[MinValueValidator(0), MaxValueValidator(MAX_TEST_DAYS)],
    )
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


REVIEW_CONSTRAINTS = (
    models.CheckConstraint(condition=models.Q(overlap__gte=1), name="overlap_of_at_least_one"),
    models.CheckConstraint(
        condition=models.Q(critical_overlap__gte=1, critical_overlap__lte=MOST_REVIEWERS),
        name="critical_overlap_in_range",
    ),
    models.CheckConstraint(
        condition=models.Q(min_display_ms__gte=LEAST_DISPLAY_MS), name="images_are_looked_at"
    ),
    models.CheckConstraint(
        condition=models.Q(grid_image_ms__gte=MIN_GRID_IMAGE_MS), name="grid_images_are_looked_at"
    ),
    models.CheckConstraint(
        condition=models.Q(gold_share__gte=0, gold_share__lte=MAX_TEST_SHARE),
        name="gold_share_in_range",
    ),
    models.CheckConstraint(
        condition=models.Q(repeat_share__gte=0, repeat_share__lte=MAX_TEST_SHARE),
        name="repeat_share_in_range",
    ),
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
