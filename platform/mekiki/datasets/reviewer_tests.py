"""Settings of a dataset that say how often reviewers are tested unseen (review.services.mixing)."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

# The largest value of Dataset.gold_share and of Dataset.repeat_share.
MAX_TEST_SHARE = 0.2
# The largest value of Dataset.gold_days and of Dataset.repeat_days.
MAX_TEST_DAYS = 3650


class ReviewerTests(models.Model):
    """The columns of a dataset about gold images and hidden repeats."""

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

    class Meta:
        abstract = True
