"""The preferences of a reviewer: stored for each user, checked, and part of the page."""

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mekiki.datasets.models import LEAST_DISPLAY_MS, Dataset
from mekiki.datasets.services import update_settings
from mekiki.review.errors import InvalidAnswerError
from mekiki.review.models import ReviewPreferences
from mekiki.review.preferences import GOAL_LASTS, current_preferences
from mekiki.review.services import save_preferences
from mekiki.review.station_keys import COMMAND_NAMES, FIXED, LAYOUTS, STANDARD
from tests.factories import UserFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db

URL = "/api/v1/review/preferences"


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def change(client: Client, body: Any, status: int = 200) -> Any:
    raw = body if isinstance(body, str | bytes) else json.dumps(body)
    reply = client.post(URL, raw, content_type="application/json")
    assert reply.status_code == status, reply.content[:300]
    return reply.json()


def test_changes_are_kept_for_the_user_and_for_no_other():
    user, other = UserFactory(), UserFactory()
    key = {"code": "KeyJ", "text": "J"}
    stored = change(
        client_of(user), {"layout": "left", "keys": {"help": key}, "goal": 50, "break_minutes": 45}
    )
    assert stored["keys"] == {"help": key}
    assert change(client_of(user), {"keep_zoom": True}) == stored | {"keep_zoom": True}
    assert client_of(user).get(URL).json()["goal"] == 50
    assert client_of(other).get(URL).json() == {
        "layout": "standard",
        "keys": {},
        "single_keys": True,
        "keep_zoom": False,
        "keep_adjustments": False,
        "goal": None,
        "break_minutes": None,
    }
    assert not ReviewPreferences.objects.filter(user=other).exists()


@pytest.mark.parametrize(
    "body",
    [
        {"layout": "both"},
        {"keys": {"confirm": {"code": "Escape", "text": "Esc"}}},  # a fixed key
        {"keys": {"explode": {"code": "KeyJ", "text": "J"}}},
        {"keys": {"skip": {"code": "<script>", "text": "J"}}},
        {"keys": {"skip": {"code": "KeyJ", "text": "J", "more": 1}}},
        {"keys": {"skip": {"code": "KeyJ", "text": "J"}, "flag": {"code": "KeyJ", "text": "J"}}},
        {"layout": "right", "keys": {"skip": {"code": "KeyH", "text": "H"}}},  # confirms in this layout
        {"keys": {f"x{n}": {"code": "KeyJ", "text": "J"} for n in range(5_000)}},
        {"goal": 0},
        {"goal": 10_001},
        {"goal": 2**70},
        {"goal": "5"},
        {"goal": True},
        {"break_minutes": 4},
        {"break_minutes": 241},
        {"single_keys": "no"},
        {"user": 1},
        {"keep_zoom": None},
        "{",
        "[]",
        b"\xff",
    ],
)
def test_invalid_changes_are_refused_and_nothing_is_stored(body: Any):
    client = client_of(UserFactory())
    raw = body if isinstance(body, str | bytes) else json.dumps(body)
    assert client.post(URL, raw, content_type="application/json").status_code in (400, 422)
    assert not ReviewPreferences.objects.exists()


def test_conflict_names_both_commands():
    keys = {"skip": {"code": "KeyJ", "text": "J"}, "flag": {"code": "KeyJ", "text": "J"}}
    reply = change(client_of(UserFactory()), {"keys": keys}, 422)
    assert reply["code"] == "key_taken"
    assert all(word in reply["detail"] for word in ("J", "Skip", "Flag", "Nothing was saved"))


@pytest.mark.parametrize("layout", ["left", "right"])
def test_one_hand_layouts_have_all_commands_on_different_keys_of_one_half(layout: str):
    keys = LAYOUTS[layout]
    codes = [key["code"] for key in keys.values()]
    assert len(set(codes)) == len(codes) and not FIXED & set(codes)
    # What is missing has a fixed key: F1 and Esc on that side, and F9 for the heat map.
    assert set(COMMAND_NAMES) - set(keys) <= ({"help", "close", "heat"} if layout == "left" else set())
    left = (
        {f"Key{letter}" for letter in "QWERTASDFGZXCVB"} | {f"Digit{n}" for n in range(1, 7)} | {"F3", "F6"}
    )
    if layout == "left":
        assert set(codes) <= left
    else:
        assert not set(codes) & (left - {"Digit6"})
    assert set(STANDARD) == set(COMMAND_NAMES)


def test_goal_ends_with_its_session():
    user = UserFactory()
    save_preferences(user=user, goal=20)
    assert current_preferences(user).goal == 20
    ReviewPreferences.objects.update(goal_began_at=timezone.now() - GOAL_LASTS)
    assert current_preferences(user).goal is None
    save_preferences(user=user, keep_zoom=True)
    save_preferences(user=user, goal=None)
    assert ReviewPreferences.objects.get().goal_began_at is None
    with pytest.raises(ValidationError):
        save_preferences(user=user, goal=-1)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReviewPreferences.objects.update(goal=5)


def test_station_has_the_preferences_of_its_user():
    station = Station(items=1)
    user = station.reviewer()
    save_preferences(user=user, layout="left", goal=3)
    page = client_of(user).get(reverse("review", args=[station.dataset.slug])).content.decode()
    assert "&quot;label-1&quot;: {&quot;code&quot;: &quot;KeyQ&quot;" in page
    assert 'data-goal-reached="0"' in page
    keys = client_of(user).get(reverse("review-keys")).content.decode()
    assert "Left hand" in keys or "left hand" in keys
    assert all(f'data-change="{command}"' in keys for command in COMMAND_NAMES)


def test_admin_sets_the_shortest_viewing_time_and_the_server_holds_it():
    station = Station(items=1)
    user = station.reviewer()
    update_settings(dataset=station.dataset, user=station.reviewer("admin"), min_display_ms=600)
    station.dataset.refresh_from_db()
    page = client_of(user).get(reverse("review", args=[station.dataset.slug])).content.decode()
    assert 'data-seen-after="600"' in page
    (leased,) = station.next(user)
    with pytest.raises(InvalidAnswerError):
        station.answer(user, leased, milliseconds=599)
    assert station.answer(user, leased, milliseconds=600).label == station.labels[0]
    with pytest.raises(IntegrityError), transaction.atomic():
        Dataset.objects.update(min_display_ms=LEAST_DISPLAY_MS - 1)
