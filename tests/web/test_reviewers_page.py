"""The page of reviewers: who sees what, what it shows, and the acts of an admin."""

import html
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mekiki.accounts.models import Membership
from mekiki.audit.models import Event
from mekiki.review.models import Assignment, Requalification
from tests.factories import UserFactory
from tests.review.test_reviewer_measures import decide, gold_item
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def client_of(user: Any, language: str = "en") -> Client:
    client = Client(headers={"accept-language": language})
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    return " ".join(html.unescape(response.content.decode()).split())


def get(user: Any, name: str, *args: Any, query: str = "") -> Any:
    return client_of(user).get(reverse(name, args=args) + query)


def post(user: Any, name: str, *args: Any, **data: Any) -> Any:
    return client_of(user).post(reverse(name, args=args), data, follow=True)


def test_admin_sees_all_reviewers_by_name_and_each_reviewer_only_the_own_page():
    station = Station(items=2)
    admin, one, other = station.reviewer("admin"), station.reviewer(), station.reviewer()
    slug = station.dataset.slug
    decide(station, one, station.labels[0], station.items[0])
    listed = text_of(get(admin, "reviewers", slug))
    names = sorted([admin.username, one.username, other.username])
    places = [listed.index(f">{name}</a>") for name in names]
    assert places == sorted(places)
    own = get(one, "reviewers", slug)
    assert own.status_code == 200 and "Your answers" in text_of(own)
    assert other.username not in text_of(own)
    assert get(one, "reviewer", slug, one.pk).status_code == 200
    assert get(one, "reviewer", slug, other.pk).status_code == 404
    assert get(admin, "reviewer", slug, other.pk).status_code == 200


def test_people_who_never_reviewed_get_nothing():
    station = Station(items=1)
    viewer, stranger, admin = station.reviewer("viewer"), UserFactory(), station.reviewer("admin")
    slug = station.dataset.slug
    for user in (viewer, stranger):
        assert get(user, "reviewers", slug).status_code == 404
        assert get(user, "reviewer", slug, user.pk).status_code == 404
        assert get(admin, "reviewer", slug, user.pk).status_code == 404
    assert get(admin, "reviewer", slug, 2**70).status_code == 404


def test_former_reviewer_who_only_looks_now_still_sees_the_own_answers():
    station = Station(items=1)
    user = station.reviewer()
    decide(station, user, station.labels[0], station.items[0])
    Membership.objects.filter(user=user).update(role="viewer")
    assert get(user, "reviewers", station.dataset.slug).status_code == 200


def test_figures_have_their_interval_and_number_and_small_samples_say_so():
    station = Station(items=1)
    user = station.reviewer()
    for number in range(25):
        decide(
            station, user, station.labels[number % 5 == 0], gold_item(station, station.labels[0]), blind=True
        )
    text = text_of(get(user, "reviewers", station.dataset.slug))
    assert "80.0 %" in text and "20 of 25 answers; 95 % interval 60.9 % to 91.1 %" in text
    assert "Too few answers: 0 of the 20 needed" in text
    assert "answer label" in text or f"answer {station.labels[1].name}, known label" in text


def test_range_limits_the_figures_and_hostile_ranges_show_the_page():
    station = Station(items=2)
    user = station.reviewer()
    slug = station.dataset.slug
    decide(station, user, station.labels[0], station.items[0], ago=timedelta(days=40))
    assert "There are no decisions in this time" in text_of(get(user, "reviewers", slug))
    assert "There are no decisions in this time" not in text_of(get(user, "reviewers", slug, query="?days=0"))
    for query in ("?days=-1", "?days=x", f"?days={10**30}", "?days=²", "?after=%00", "?after=" + "x" * 500):
        assert get(user, "reviewers", slug, query=query).status_code == 200
        assert get(station.reviewer("admin"), "reviewers", slug, query=query).status_code == 200


def test_page_is_complete_in_japanese():
    station = Station(items=1)
    user = station.reviewer()
    response = client_of(user, "ja").get(reverse("reviewers", args=[station.dataset.slug]))
    assert "あなたの判定" in response.content.decode()


def test_number_of_queries_does_not_depend_on_the_number_of_reviewers():
    station = Station(items=1)
    admin = station.reviewer("admin")
    counts = []
    for more in (1, 6):
        for _ in range(more):
            decide(
                station,
                station.reviewer(),
                station.labels[0],
                gold_item(station, station.labels[0]),
                blind=True,
            )
        client = client_of(admin)
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("reviewers", args=[station.dataset.slug]))
        counts.append(len(queries))
    assert counts[0] == counts[1] < 30


@pytest.mark.parametrize(("goal", "kept"), [("300", 300), ("", None), ("0", 50), ("-3", 50), ("9" * 30, 50)])
def test_admin_sets_a_daily_goal(goal: str, kept: int | None):
    station = Station(items=2)
    admin, user = station.reviewer("admin"), station.reviewer()
    Membership.objects.filter(user=user).update(daily_goal=50)
    post(admin, "reviewer-goal", station.dataset.slug, user.pk, goal=goal)
    assert Membership.objects.get(user=user).daily_goal == kept
    assert Event.objects.filter(kind="member.goal_set").count() == (0 if kept == 50 else 1)


def test_reviewer_sees_the_goal_at_home_and_on_the_own_page():
    station = Station(items=2)
    user = station.reviewer()
    Membership.objects.filter(user=user).update(daily_goal=4)
    station.answer(user, station.next(user)[0])
    assert "Today: 1 of 4 answers of your daily goal" in text_of(get(user, "home"))
    assert "1 of 4 answers of the daily goal" in text_of(get(user, "reviewers", station.dataset.slug))
    assert "daily goal" not in text_of(get(station.reviewer(), "home"))


def test_reviewers_may_not_set_anything():
    station = Station(items=1)
    user, other = station.reviewer(), station.reviewer()
    slug = station.dataset.slug
    part = Assignment.objects.create(
        dataset=station.dataset, user=user, label=station.labels[0], created_by=other
    )
    assert post(user, "reviewer-goal", slug, user.pk, goal="5").status_code == 403
    assert post(user, "assignment-add", slug, reviewer=user.pk, label=station.labels[1].pk).status_code == 403
    assert post(user, "assignment-remove", slug, part.pk).status_code == 403
    assert post(user, "requalification-decide", slug, user.pk, act="waive").status_code == 403
    assert Assignment.objects.count() == 1


def test_admin_assigns_and_removes_parts():
    station = Station(items=1, overlap=2)
    admin, user = station.reviewer("admin"), station.reviewer()
    slug, label = station.dataset.slug, station.labels[0]
    page = text_of(post(admin, "assignment-add", slug, reviewer=user.pk, label=label.pk, strict="on"))
    assert "The part is assigned" in page and f"images predicted as {label.name}" in page
    assert "An image needs 2 reviewers" in page
    assert "The part is assigned" in text_of(
        post(admin, "assignment-add", slug, reviewer=user.pk, key="line", value="<b>A</b>")
    )
    assert "images with line = <b>A</b>" in text_of(get(admin, "reviewers", slug))
    assert "<b>A</b>" not in get(admin, "reviewers", slug).content.decode()
    for part in Assignment.objects.all():
        post(admin, "assignment-remove", slug, part.pk)
    station.dataset.refresh_from_db()
    assert not Assignment.objects.exists() and not station.dataset.queue_is_divided
    assert "does not exist any more" in text_of(post(admin, "assignment-remove", slug, 2**62))


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"label": "x"},
        {"key": "line"},
        {"key": "line", "value": "x" * 201},
        {"key": "line\0", "value": "A"},
        {"label": str(2**62)},
        {"reviewer": str(2**62), "key": "line", "value": "A"},
    ],
)
def test_malformed_parts_are_refused_with_a_sentence(form: dict[str, str]):
    station = Station(items=1)
    admin, user = station.reviewer("admin"), station.reviewer()
    response = post(admin, "assignment-add", station.dataset.slug, **{"reviewer": user.pk, **form})
    assert response.status_code == 200 and "Nothing was changed" in text_of(response)
    assert not Assignment.objects.exists()


def test_labels_and_reviewers_of_other_datasets_are_refused():
    station, foreign = Station(items=1), Station(items=1)
    admin = station.reviewer("admin")
    slug = station.dataset.slug
    post(admin, "assignment-add", slug, reviewer=admin.pk, label=foreign.labels[0].pk)
    post(admin, "assignment-add", slug, reviewer=foreign.reviewer().pk, label=station.labels[0].pk)
    assert not Assignment.objects.exists() and not Requalification.objects.exists()
