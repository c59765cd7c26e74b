"""The grid review over HTTP: roles, formats, refusals, and images that no page may show."""

import uuid
from typing import Any

import pytest

from mekiki.review.models import Decision, Stream
from tests.api.test_review_api import Browser
from tests.review_setup import Station

pytestmark = pytest.mark.django_db


def answers(page: dict[str, Any], **first: Any) -> dict[str, Any]:
    tiles = [
        {"item": tile["item"], "lease": tile["lease"], "kind": "confirm", "label": page["label"]}
        for tile in page["tiles"]
    ]
    tiles[0] |= first
    return {"page": str(uuid.uuid4()), "milliseconds": page["needed_ms"], "tiles": tiles}


def test_page_goes_from_queue_to_confirmed_labels_and_back():
    station = Station(items=7, labels=2)
    browser = Browser(station)
    page = browser.post("grid/next", {"count": 6})
    assert page["label"] == station.labels[0].pk
    assert page["labels"] == [{"label": page["label"], "name": station.labels[0].name, "waiting": 7}]
    assert (len(page["tiles"]), page["needed_ms"], page["waiting"], page["empty"]) == (6, 600, 7, None)
    assert page["tiles"][0]["prediction"]["label"] == page["label"]
    other = station.labels[1].pk
    reply = browser.post("grid/answer", answers(page, kind="correct", label=other))
    assert reply["waiting"] == 1
    assert [(t["kind"], t["label"], t["late"], t["code"]) for t in reply["tiles"]] == [
        ("correct", other, False, ""),
        *[("confirm", page["label"], False, "")] * 5,
    ]
    assert {t["decision"] for t in reply["tiles"]} == set(Decision.objects.values_list("pk", flat=True))
    key = str(uuid.uuid4())
    undone = browser.post("grid/undo", {"client_key": key})
    counts = {"undone": 6, "returned": 6, "kept": 0, "ruled": 0}
    text = "Undone. The images are shown again: 6."
    assert undone == {**counts, "label": page["label"], "text": text, "duplicate": False}
    assert browser.post("grid/undo", {"client_key": key}) == undone | {"duplicate": True}
    assert len(browser.post("grid/next", {"count": 7})["tiles"]) == 7


def test_refusal_of_one_image_is_reported_with_its_reason():
    station = Station(items=2)
    browser = Browser(station)
    body = answers(browser.post("grid/next", {"count": 6}), lease=2**40)
    refused, recorded = browser.post("grid/answer", body)["tiles"]
    assert refused["code"] == "unknown_lease" and "Nothing was recorded" in refused["detail"]
    assert refused["decision"] is None and recorded["decision"] == Decision.objects.get().pk


def test_confirmation_of_another_label_than_shown_is_refused():
    station = Station(items=1)
    browser = Browser(station)
    body = answers(browser.post("grid/next", {"count": 6}), label=station.labels[1].pk)
    assert browser.post("grid/answer", body)["tiles"][0]["code"] == "not_what_was_shown"
    assert not Decision.objects.exists()


def test_page_that_was_not_looked_at_is_refused():
    browser = Browser(Station(items=3))
    page = browser.post("grid/next", {"count": 6})
    body = answers(page) | {"milliseconds": page["needed_ms"] - 1}
    assert browser.post("grid/answer", body, 422)["code"] == "not_seen"
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [{"count": 5}, {"count": 61}, {"label": 0}, {"label": "x"}, {"count": None}],
)
def test_malformed_request_for_a_page_is_refused(wrong: dict[str, Any]):
    assert Browser(Station(items=1)).post("grid/next", wrong, 422)["code"] == "malformed"


@pytest.mark.parametrize(
    "wrong", [{"tiles": []}, {"page": "x"}, {"milliseconds": None}, {"milliseconds": -1}]
)
def test_malformed_page_is_refused(wrong: dict[str, Any]):
    browser = Browser(Station(items=1))
    body = answers(browser.post("grid/next", {})) | wrong
    assert browser.post("grid/answer", body, 422)["code"] == "malformed"
    assert not Decision.objects.exists()


def test_viewers_and_strangers_get_no_page():
    station = Station(items=1)
    for role, status in (("viewer", 403), (None, 404)):
        browser = Browser(station, role)
        browser.post("grid/next", {}, status)
        browser.post("grid/undo", {"client_key": str(uuid.uuid4())}, status)
        body = {
            "page": str(uuid.uuid4()),
            "milliseconds": 1000,
            "tiles": [{"item": 1, "lease": 1, "kind": "skip"}],
        }
        browser.post("grid/answer", body, status)


def test_blind_images_are_announced_but_not_shown():
    station = Station(items=0)
    station.item(stream=Stream.AUDIT)
    page = Browser(station).post("grid/next", {})
    assert (page["tiles"], page["labels"], page["label"]) == ([], [], None)
    assert page["empty"]["code"] == "not_in_grid"
    assert page["empty"]["url"] == f"/d/{station.dataset.slug}/review/"


def test_empty_grid_states_the_reason_of_the_empty_queue():
    station = Station(items=0)
    station.item()
    Browser(station).post("grid/next", {})
    assert Browser(station).post("grid/next", {})["empty"]["code"] == "held_by_others"
