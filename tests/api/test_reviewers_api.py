"""The API of reviewers: figures, daily goals, assignments and decisions about a requalification."""

from typing import Any

import pytest
from django.test import Client

from mekiki.review.models import Assignment, Requalification
from tests.review.test_requalification import BoundStation
from tests.review.test_reviewer_measures import decide, gold_item
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def client_of(user: Any) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def call(user: Any, method: str, station: Station, path: str, body: Any = None) -> Any:
    url = f"/api/v1/datasets/{station.dataset.slug}/{path}"
    return getattr(client_of(user), method)(url, body, content_type="application/json")


def test_figures_are_null_with_too_few_answers_and_have_an_interval_otherwise():
    station = Station(items=1)
    admin, user = station.reviewer("admin"), station.reviewer()
    decide(station, user, station.labels[0], station.items[0])
    path = f"reviewers/{user.pk}"
    few = call(user, "get", station, path).json()
    assert few["decisions"] == 1 and few["gold"] == {"k": 0, "n": 0, "value": None, "low": None, "high": None}
    listed = call(admin, "get", station, "reviewers").json()
    assert [row["name"] for row in listed["reviewers"]] == sorted([admin.username, user.username])
    assert listed["reviewers"][-1]["decisions"] == 1 and listed["after"] == ""
    for number in range(20):
        decide(
            station, user, station.labels[number % 4 == 0], gold_item(station, station.labels[0]), blind=True
        )
    found = call(admin, "get", station, f"{path}?days=7").json()["gold"]
    assert (found["k"], found["n"]) == (15, 20) and found["low"] < 0.75 < found["high"]
    for days in (0, 30, 90):
        assert call(user, "get", station, f"{path}?days={days}").json()["gold"] == found


@pytest.mark.parametrize("query", ["?days=8", "?days=x", "?days=-30"])
def test_other_ranges_are_malformed(query: str):
    station = Station(items=1)
    user = station.reviewer()
    assert call(user, "get", station, f"reviewers/{user.pk}{query}").status_code == 422


def test_own_figures_and_goal_are_open_and_those_of_others_do_not_exist():
    station = Station(items=1)
    admin, user, other = station.reviewer("admin"), station.reviewer(), station.reviewer()
    assert call(user, "get", station, f"reviewers/{other.pk}").status_code == 404
    assert call(user, "get", station, f"reviewers/{other.pk}/goal").status_code == 404
    assert call(user, "get", station, "reviewers").status_code == 403
    assert call(user, "put", station, f"reviewers/{user.pk}/goal", {"goal": 5}).status_code == 403
    station.answer(user, station.next(user)[0])
    changed = call(admin, "put", station, f"reviewers/{user.pk}/goal", {"goal": 5})
    assert changed.json() == {"goal": 5, "answered_today": 1}
    assert call(user, "get", station, f"reviewers/{user.pk}/goal").json() == changed.json()
    for goal in (0, -1, 10**9, "x", 2**70):
        reply = call(admin, "put", station, f"reviewers/{user.pk}/goal", {"goal": goal})
        assert reply.status_code == 422
    assert call(admin, "put", station, f"reviewers/{user.pk}/goal", {"goal": None}).json()["goal"] is None


def test_parts_are_assigned_listed_and_taken_back():
    station = Station(items=1)
    admin, user = station.reviewer("admin"), station.reviewer()
    label = station.labels[0].pk
    made = call(admin, "post", station, "assignments", {"reviewer": user.pk, "label": label, "strict": True})
    assert made.status_code == 200 and made.json()["strict"]
    assert [row["id"] for row in call(admin, "get", station, "assignments").json()] == [made.json()["id"]]
    for body in (
        {"reviewer": user.pk},
        {"reviewer": user.pk, "label": label, "key": "line", "value": "A"},
        {"reviewer": 2**70, "label": label},
        {"reviewer": user.pk, "key": "k" * 101, "value": "A"},
        {"reviewer": user.pk, "key": "\0", "value": "A"},
        [],
    ):
        assert call(admin, "post", station, "assignments", body).status_code == 422
    assert (
        call(admin, "post", station, "assignments", {"reviewer": user.pk, "label": 10**12}).status_code == 404
    )
    path = f"assignments/{made.json()['id']}"
    assert call(user, "delete", station, path).status_code == 403
    assert call(admin, "delete", station, path).status_code == 204
    assert call(admin, "delete", station, path).status_code == 404
    assert call(admin, "delete", station, f"assignments/{2**70}").status_code == 404
    assert not Assignment.objects.exists()


def test_admin_decides_about_a_requalification():
    station = BoundStation()
    station.gold(0, 5)
    station.check()
    path = f"reviewers/{station.user.pk}/requalification"
    assert call(station.admin, "post", station, path, {"act": "again"}).json()["code"] == "test_not_failed"
    assert call(station.admin, "post", station, path, {"act": "shout"}).status_code == 422
    assert call(station.admin, "post", station, path, {"act": "waive"}).json()["state"] == "waived"
    assert call(station.admin, "post", station, path, {"act": "waive"}).status_code == 409
    assert Requalification.objects.get().closed_by == station.admin
