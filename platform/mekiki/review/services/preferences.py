"""The preferences of a reviewer in the station."""

from typing import TypedDict, Unpack

from django.db import transaction

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.review.models import ReviewPreferences
from mekiki.review.station_keys import Key, check_keys


class PreferenceChanges(TypedDict, total=False):
    """What can change. What is left out stays."""

    layout: str
    keys: dict[str, Key]
    single_keys: bool
    keep_zoom: bool
    keep_adjustments: bool
    goal: int | None
    break_minutes: int | None


@transaction.atomic
def save_preferences(*, user: User, **changes: Unpack[PreferenceChanges]) -> ReviewPreferences:
    """Change the given preferences of the user and return all of them. A new goal begins now.

    Raises ValidationError if a value is out of range, a key is unknown or has a fixed meaning, or two
    commands have the same key.
    """
    if unknown := set(changes) - set(PreferenceChanges.__annotations__):
        raise TypeError(f"Not preferences: {', '.join(sorted(unknown))}")
    ReviewPreferences.objects.get_or_create(user=user)
    row = ReviewPreferences.objects.select_for_update(no_key=True).get(user=user)
    for name, value in changes.items():
        setattr(row, name, value)
    row.clean_fields()
    row.keys = check_keys(row.layout, row.keys)
    if "goal" in changes:
        row.goal_began_at = clock.now() if row.goal is not None else None
    row.save(update_fields=[*changes, "goal_began_at", "keys"])
    return row
