"""How a reviewer likes the review station. The server keeps it, so that it follows the login."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from mekiki.accounts.models import User
from mekiki.config import clock

MOST_ANSWERS_OF_GOAL = 10_000
SHORTEST_WORK, LONGEST_WORK = 5, 240
# A goal is for one session: it ends after this time.
GOAL_LASTS = timedelta(hours=12)


class Layout(models.TextChoices):
    """Where the keys of the station lie."""

    STANDARD = "standard", _("standard")
    LEFT = "left", _("left hand")
    RIGHT = "right", _("right hand")


class ReviewPreferences(models.Model):
    """The preferences of one reviewer. A reviewer without a row has the defaults."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="review_preferences"
    )
    layout = models.CharField(max_length=10, choices=Layout.choices, default=Layout.STANDARD)
    # Own keys beside those of the layout: {command: {code, text}} (station_keys.check_keys).
    keys = models.JSONField(default=dict, blank=True)
    # Single keys are commands. Off for screen readers and voice control, which use them.
    single_keys = models.BooleanField(default=True)
    keep_zoom = models.BooleanField(default=False)
    keep_adjustments = models.BooleanField(default=False)
    # Number of answers that the reviewer wants to reach in this session, and when it began. Null: no goal.
    goal = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(MOST_ANSWERS_OF_GOAL)]
    )
    goal_began_at = models.DateTimeField(null=True, blank=True)
    # Minutes of work after which a break is suggested. Null: never.
    break_minutes = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(SHORTEST_WORK), MaxValueValidator(LONGEST_WORK)]
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(goal__isnull=True, goal_began_at__isnull=True)
                | models.Q(goal__gte=1, goal_began_at__isnull=False),
                name="review_goal_has_its_time",
            ),
            models.CheckConstraint(
                condition=models.Q(break_minutes__isnull=True) | models.Q(break_minutes__gte=SHORTEST_WORK),
                name="break_after_some_work",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}"


def preferences_of(user: User) -> ReviewPreferences:
    """Return the preferences of a user. They are not saved if the user has none yet."""
    return ReviewPreferences.objects.filter(user=user).first() or ReviewPreferences(user=user)


def current_preferences(user: User) -> ReviewPreferences:
    """Return the preferences of a user, without a goal of an earlier session."""
    preferences = preferences_of(user)
    began = preferences.goal_began_at
    if began is not None and not clock.now() - GOAL_LASTS < began:
        preferences.goal = preferences.goal_began_at = None
    return preferences


def preferences_out(preferences: ReviewPreferences) -> dict[str, Any]:
    """Return the preferences as the scripts of the station read them."""
    names = ("layout", "keys", "single_keys", "keep_zoom", "keep_adjustments", "goal")
    return {name: getattr(preferences, name) for name in (*names, "break_minutes")}
