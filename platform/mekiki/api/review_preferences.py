"""The preferences of the user who is logged in, for every review station."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from mekiki.accounts.http import user_of
from mekiki.api.errors import ErrorOut
from mekiki.review import services
from mekiki.review.preferences import (
    LONGEST_WORK,
    MOST_ANSWERS_OF_GOAL,
    SHORTEST_WORK,
    preferences_of,
    preferences_out,
)

router = Router(tags=["review"])
ERRORS = dict.fromkeys((401, 403, 422), ErrorOut)
Switch = Annotated[bool, Field(strict=True)]


class KeyIO(Schema):
    """A key by its place (`KeyboardEvent.code`), and what is written on it."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(max_length=24)
    text: str = Field("", max_length=12)


class PreferencesOut(Schema):
    """How the reviewer likes the station. `keys`: own keys beside those of the layout, by command."""

    layout: str
    keys: dict[str, KeyIO]
    single_keys: bool
    keep_zoom: bool
    keep_adjustments: bool
    goal: int | None
    break_minutes: int | None


class PreferencesIn(Schema):
    """Changes. What is left out stays; null turns the goal or the reminder off."""

    model_config = ConfigDict(extra="forbid")

    layout: Literal["standard", "left", "right"] = "standard"
    keys: dict[str, KeyIO] = Field(default_factory=dict, max_length=40)
    single_keys: Switch = True
    keep_zoom: Switch = False
    keep_adjustments: Switch = False
    goal: Annotated[int, Field(ge=1, le=MOST_ANSWERS_OF_GOAL, strict=True)] | None = None
    break_minutes: Annotated[int, Field(ge=SHORTEST_WORK, le=LONGEST_WORK, strict=True)] | None = None


@router.get(
    "/preferences",
    response={200: PreferencesOut, **ERRORS},
    url_name="review-preferences",
    summary="Your preferences",
)
def get_preferences(request: HttpRequest) -> dict[str, Any]:
    """Return the preferences of the user for the review station."""
    return preferences_out(preferences_of(user_of(request)))


@router.post(
    "/preferences",
    response={200: PreferencesOut, **ERRORS},
    url_name="review-preferences",
    summary="Change your preferences",
)
def set_preferences(request: HttpRequest, body: PreferencesIn) -> dict[str, Any]:
    """Change the given preferences of the user, and return all of them."""
    row = services.save_preferences(user=user_of(request), **body.model_dump(exclude_unset=True))
    return preferences_out(row)
