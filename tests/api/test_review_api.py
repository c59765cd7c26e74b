""" "The review over HTTP as a browser uses it: roles, formats, fields of a blind item, invalid bodies."""

import json
import re
import uuid
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from mekiki.jobs.models import Kind
from mekiki.labeling.models import Label
from mekiki.review.models import Decision, Lease, Stream
from tests.factories import DatasetFactory, JobFactory, LabelFactory, UserFactory
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


class Browser:
    """The session of a logged-in reviewer."""

    def __init__(self, station: Station, role: str | None = "reviewer") -> None:
        self.user = station.reviewer(role) if role else UserFactory()
        self.base = f"/api/v1/datasets/{station.dataset.slug}/review/"
        self.client = Client()
        self.client.force_login(self.user)

    def post(self, action: str, body: Any = None, status: int = 200) -> Any:
        raw = body if isinstance(body, str | bytes) else json.dumps({} if body is None else body)
        reply = self.client.post(self.base + action, raw, content_type="application/json")
        assert reply.status_code == status, (reply.status_code, reply.content[:500])
        return reply.json()

    def next(self, count: int = 1) -> list[dict[str, Any]]:
        return self.post("next", {"count": count})["items"]

    def answer(self, leased: dict[str, Any], /, kind: str = "confirm", status: int = 200, **more: Any) -> Any:
        body = {
            "item": leased["item"],
            "lease": leased["lease"],
            "kind": kind,
            "client_key": str(uuid.uuid4()),
        }
        return self.post("answer", body | more, status)


def test_image_goes_from_queue_to_confirmed_label():
    station = Station(items=2)
    browser = Browser(station)
    reply = browser.post("next", {"count": 1})
    (item,) = reply["items"]
    assert (reply["waiting"], reply["answered_today"], reply["empty"]) == (2, 0, None)
    image = station.items[0].image
    assert item["image"]["sha256"] == image.sha256
    assert item["image"]["metadata"] == {"line": "A", "camera": "1"}
    assert image.sha256 in item["image"]["url"]
    assert item["prediction"] == {
        "label": station.labels[0].pk,
        "name": station.labels[0].name,
        "confidence": 0.8,
        "calibrated": False,
        "runner_up": station.labels[1].pk,
        "runner_up_confidence": 0.2,
        "head": station.head.version,
    }
    response = browser.answer(item, "correct", label=station.labels[2].pk, milliseconds=812)
    assert response == {
        "decision": Decision.objects.get().pk,
        "kind": "correct",
        "label": station.labels[2].pk,
        "late": False,
        "duplicate": False,
        "waiting": 1,
        "next": None,
    }
    assert browser.post("next", {"count": 1})["answered_today"] == 1
    undone = browser.post("undo", {"client_key": str(uuid.uuid4())})
    assert undone["undone"] == "correct"
    assert undone["item"]["item"] == item["item"]
    assert browser.next(5)[0]["item"] == item["item"]
    assert browser.post("next", {"count": 1})["answered_today"] == 0


@pytest.mark.parametrize("stream", [Stream.UNCERTAIN, Stream.AUDIT])
def test_decision_records_how_the_picture_was_adjusted(stream: Stream):
    station = Station()
    station.item(stream=stream)
    station.item(stream=stream)
    browser = Browser(station)
    adjusted, original = browser.next(2)
    view = {"brightness": 1.25, "contrast": 1, "invert": True, "channel": "green"}
    browser.answer(adjusted, "correct", label=station.labels[2].pk, view=view)
    browser.answer(original, "correct", label=station.labels[2].pk, view={"contrast": 1.0, "gamma": 1})
    with_view, without = Decision.objects.order_by("pk")
    assert with_view.shown["view"] == {"brightness": 1.25, "invert": True, "channel": "green"}
    assert {k: v for k, v in with_view.shown.items() if k != "view"} == without.shown
    assert "view" not in without.shown


def test_answer_repeated_after_a_lost_reply_records_one_decision():
    station = Station(items=1)
    browser = Browser(station)
    (item,) = browser.next()
    key = str(uuid.uuid4())
    first = browser.answer(item, client_key=key)
    repeated = browser.answer(item, client_key=key)
    assert repeated == first | {"duplicate": True}
    assert Decision.objects.count() == 1


def test_blind_item_contains_no_prediction():
    station = Station()
    station.item(stream=Stream.AUDIT)
    browser = Browser(station)
    reply = browser.post("next", {"count": 5})
    (item,) = reply["items"]
    assert item["blind"] is True
    assert item["prediction"] is None
    text = json.dumps(reply)
    assert station.labels[0].name not in text
    assert not re.search(r"(?<!\d)0\.8", text)  # digits of the confidence can also be the end of a time
    assert browser.answer(item, status=409)["code"] == "blind"


@pytest.mark.parametrize("action", ["next", "answer", "undo", "renew", "release"])
def test_review_needs_the_role_of_a_reviewer(action: str):
    station = Station(items=1)
    bodies = {
        "next": {"count": 1},
        "answer": {"item": 1, "lease": 1, "kind": "skip", "client_key": str(uuid.uuid4())},
        "undo": {"client_key": str(uuid.uuid4())},
        "renew": {"leases": []},
        "release": {"leases": []},
    }
    assert Browser(station, None).post(action, bodies[action], 404)["code"] == "not_found"
    assert Browser(station, "viewer").post(action, bodies[action], 403)["code"] == "refused"
    anonymous = Client().post(
        f"/api/v1/datasets/{station.dataset.slug}/review/{action}",
        json.dumps(bodies[action]),
        content_type="application/json",
    )
    assert anonymous.status_code == 401
    assert anonymous.json()["code"] == "login_needed"


def test_request_without_csrf_token_is_refused():
    station = Station(items=1)
    client = Client(enforce_csrf_checks=True)
    client.force_login(station.reviewer())
    reply = client.post(
        f"/api/v1/datasets/{station.dataset.slug}/review/next", "{}", content_type="application/json"
    )
    assert reply.status_code == 403
    assert reply.json()["code"] == "csrf"
    assert not Lease.objects.exists()


def test_conflicts_are_reported_with_a_code_and_a_sentence():
    station = Station(items=1)
    browser = Browser(station)
    assert browser.post("undo", {"client_key": str(uuid.uuid4())}, 409) == {
        "code": "nothing_to_undo",
        "detail": "You have no answer left to undo in this dataset.",
    }
    (item,) = browser.next()
    assert browser.answer(item, "correct", 404, label=LabelFactory().pk)["code"] == "unknown_label"
    other_station = Station(items=1)
    other_item = Browser(other_station).next()[0]
    assert browser.answer(other_item, status=404)["code"] == "unknown_item"
    assert browser.answer(item | {"lease": other_item["lease"]}, status=404)["code"] == "unknown_lease"


@pytest.mark.parametrize(
    "change",
    [
        {"item": "1; DROP TABLE"},
        {"item": 10**40},
        {"item": 1.5},
        {"item": True},
        {"item": None},
        {"lease": -1},
        {"kind": "undo"},
        {"kind": ["confirm"]},
        {"label": "good"},
        {"note": "x" * 100_000},
        {"note": "a\x00b"},
        {"note": "\ud800"},
        {"note": {"a": 1}},
        {"client_key": "not-a-uuid"},
        {"client_key": None},
        {"milliseconds": -5},
        {"milliseconds": 10**12},
        {"view": {"brightness": 4.01}},
        {"view": {"brightness": 0}},
        {"view": {"gamma": "NaN"}},
        {"view": {"invert": 1}},
        {"view": {"channel": "alpha"}},
        {"view": {"rotation": 90}},
        {"view": [1.2]},
    ],
)
def test_malformed_answers_are_refused_by_field(change: dict[str, Any]):
    station = Station(items=1)
    browser = Browser(station)
    (item,) = browser.next()
    reply = browser.answer(item, **({"kind": "flag", "status": 422} | change))
    assert reply["code"] == "malformed"
    assert any(field.split(".")[0] == next(iter(change)) for field in reply["fields"])
    assert Decision.objects.count() == 0


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "[" * 100_000, b"\xff\xfe"])
def test_unreadable_bodies_are_refused(body: str | bytes):
    station = Station(items=1)
    reply = Browser(station).client.post(
        f"/api/v1/datasets/{station.dataset.slug}/review/answer", body, content_type="application/json"
    )
    assert reply.status_code in (400, 422)
    assert reply.json()["code"] in ("unreadable", "malformed")


def test_release_of_ten_thousand_leases_is_refused():
    station = Station(items=1)
    browser = Browser(station)
    assert browser.post("release", {"leases": list(range(1, 10_001))}, 422)["fields"] == ["leases"]
    (item,) = browser.next()
    reply = browser.post("renew", {"leases": [item["lease"]]})
    assert reply["renewed"][0]["lease"] == item["lease"]
    assert reply["answered_today"] == 0
    assert browser.post("release", {"leases": [item["lease"], 999_999_999]}) == {"released": 1}


def test_empty_queue_is_reported_with_its_reason():
    station = Station()
    browser = Browser(station)
    dataset = station.dataset
    assert browser.post("next", {"count": 1})["empty"]["code"] == "no_images"
    station.item()
    other = Browser(station)
    other.next()
    assert browser.post("next", {"count": 1})["empty"]["code"] == "held_by_others"
    other.answer(other.next()[0], "skip")
    assert other.post("next", {"count": 1})["empty"]["code"] == "yours_are_done"
    browser.answer(browser.next()[0])
    assert browser.post("next", {"count": 1})["empty"]["code"] == "working"
    dataset.jobs.all().delete()
    dataset.queue_target = 0
    dataset.save()
    JobFactory(dataset=dataset, kind=Kind.VERIFY_HEAD, running=True)  # returns no images to wait for
    assert browser.post("next", {"count": 1})["empty"]["code"] == "all_reviewed"
    Label.objects.filter(dataset=dataset).update(archived_at="2026-01-01T00:00:00Z")
    assert browser.post("next", {"count": 1})["empty"]["code"] == "no_labels"


def test_archived_dataset_answers_404():
    dataset = DatasetFactory(archived_at="2026-01-01T00:00:00Z")
    client = Client()
    client.force_login(UserFactory(is_superuser=True))
    reply = client.post(f"/api/v1/datasets/{dataset.slug}/review/next", "{}", content_type="application/json")
    assert reply.status_code == 404


def test_number_of_queries_does_not_grow_with_the_queue(django_assert_max_num_queries):
    station = Station(items=40)
    browser = Browser(station)
    browser.next(1)
    with django_assert_max_num_queries(17):
        items = browser.next(5)
    with django_assert_max_num_queries(24):
        browser.answer(items[0])


def test_answer_and_the_next_images_come_in_one_request():
    station = Station(items=5)
    browser = Browser(station)
    held = browser.next(3)
    reply = browser.answer(held[0], next=3)
    assert Decision.objects.get().pk == reply["decision"]
    assert reply["waiting"] == 4
    assert reply["next"]["empty"] is None
    following = reply["next"]["items"]
    assert [one["lease"] for one in following[:2]] == [one["lease"] for one in held[1:]]
    assert [one["item"] for one in following] == [item.pk for item in station.items[1:4]]
    assert following == browser.next(3)
    assert browser.answer(following[0])["next"] is None


def test_answer_sent_twice_with_next_leases_no_more_images():
    station = Station(items=9)
    browser = Browser(station)
    (item,) = browser.next()
    key = str(uuid.uuid4())
    first = browser.answer(item, client_key=key, next=3)
    again = browser.answer(item, client_key=key, next=3)
    assert again == first | {"duplicate": True}
    assert Decision.objects.count() == 1
    assert Lease.objects.filter(ended_at__isnull=True).count() == 3


def test_refused_answer_leases_nothing():
    station = Station(items=3)
    browser = Browser(station)
    (item,) = browser.next()
    reply = browser.answer(item, milliseconds=3, next=3, status=422)
    assert reply["code"] == "not_seen"
    assert Decision.objects.count() == 0
    assert Lease.objects.count() == 1
    assert browser.answer(item, next=6, status=422)["code"] == "malformed"


def test_last_answer_reports_why_there_is_no_next_image():
    station = Station(items=1)
    browser = Browser(station)
    (item,) = browser.next()
    following = browser.answer(item, next=3)["next"]
    assert following["items"] == []
    assert following["empty"] == browser.post("next", {"count": 3})["empty"]
    assert following["empty"]["may_undo"] is True


def test_next_image_after_an_answer_is_blind_if_its_stream_is():
    station = Station(items=1)
    blind = station.item(stream=Stream.AUDIT)
    browser = Browser(station)
    (item,) = browser.next()
    reply = browser.answer(item, next=1)
    (following,) = reply["next"]["items"]
    assert following["item"] == blind.pk
    assert following["blind"] is True and following["prediction"] is None
    assert following["image"]["metadata"] == {}
    assert blind.image.name not in json.dumps(reply)
    assert station.labels[0].name not in json.dumps(reply)


@pytest.mark.django_db(transaction=True)
def test_answer_is_kept_and_reported_if_no_image_can_be_leased():
    station = Station(items=3)
    browser = Browser(station)
    (item,) = browser.next()

    def refuse_leases(execute: Any, sql: str, *rest: Any) -> Any:
        if "INSERT" in sql and "review_lease" in sql:
            raise OperationalError("no lease can be written")
        return execute(sql, *rest)

    with connection.execute_wrapper(refuse_leases):
        reply = browser.answer(item, next=3)
    assert reply["decision"] == Decision.objects.get().pk
    assert reply["next"] is None
    assert len(browser.next(3)) == 2


def test_reviewers_of_one_request_each_need_their_role():
    station = Station(items=2)
    browser = Browser(station)
    (item,) = browser.next()
    station.dataset.memberships.filter(user=browser.user).update(role="viewer")
    assert browser.answer(item, next=2, status=403)["code"] == "refused"
    assert Decision.objects.count() == 0


def test_answer_with_the_next_images_takes_few_queries(django_assert_max_num_queries):
    station = Station(items=40)
    browser = Browser(station)
    held = browser.next(3)
    browser.answer(held[0], next=3)
    with django_assert_max_num_queries(33):
        browser.answer(held[1], next=3)


def test_too_quick_answer_is_refused_with_a_code():
    station = Station(items=1)
    browser = Browser(station)
    (item,) = browser.next()
    reply = browser.answer(item, "confirm", milliseconds=11, status=422)
    assert reply["code"] == "not_seen"
    assert "11 ms" in reply["detail"]
    assert Decision.objects.count() == 0


def test_empty_queue_offers_undo_only_after_an_answer():
    station = Station(items=1)
    browser = Browser(station)
    other = Browser(station)
    (item,) = browser.next()
    browser.answer(item, "confirm")
    assert browser.post("next", {"count": 1})["empty"]["may_undo"] is True
    assert other.post("next", {"count": 1})["empty"]["may_undo"] is False
    browser.post("undo", {"client_key": str(uuid.uuid4())})
    browser.post("release", {"leases": [leased["lease"] for leased in browser.next()]})
    other.next()
    assert browser.post("next", {"count": 1})["empty"]["may_undo"] is False
