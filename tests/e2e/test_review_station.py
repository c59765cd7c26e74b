"""The review station in a real Chromium: two users, keyboard only, lost connections, blind images."""

import json
import re
import threading
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from mekiki.labeling.models import Label
from mekiki.review.models import ConfirmedLabel, Decision, Lease, QueueItem, Stream
from tests.e2e import screenshots
from tests.e2e.axe import violations_of
from tests.e2e.station_setup import (
    close_guide,
    expect_item,
    expect_saved,
    image_with_files,
    item_of,
    press_and_wait,
    station_with,
    wait_for_leases,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
]


def test_two_reviewers_in_two_browsers_answer_every_image_once(enter: Callable[..., Page]):
    station = station_with(40)
    reviewers = [station.reviewer(), station.reviewer()]
    pages = [enter(station, user) for user in reviewers]
    answered: list[set[int]] = [set(), set()]
    has_images = [True, True]
    while any(has_images):
        for n, page in enumerate(pages):
            if not has_images[n]:
                continue
            page.wait_for_selector("[data-station][data-item] [data-canvas] img, [data-empty]:not([hidden])")
            if page.locator("[data-empty]").is_visible():
                has_images[n] = False
                continue
            answered[n].add(item_of(page))
            press_and_wait(page, "Enter" if len(answered[n]) % 3 else "2")
    for page in pages:
        expect_saved(page)
        assert page.problems == []  # type: ignore[attr-defined]
    assert not answered[0] & answered[1]
    assert len(answered[0] | answered[1]) == 40
    assert min(len(x) for x in answered) > 10
    assert Decision.objects.count() == 40
    assert ConfirmedLabel.objects.count() == 40
    assert not Decision.objects.filter(late=True).exists()


def test_every_answer_can_be_given_by_keyboard(enter: Callable[..., Page]):
    station = station_with(6)
    user = station.reviewer()
    page = enter(station, user)
    first = item_of(page)
    press_and_wait(page, "Enter")
    press_and_wait(page, "3")
    expect_saved(page)
    page.keyboard.press("z")
    expect(page.locator("[data-said]")).to_contain_text("Undone")
    assert item_of(page) == station.items[1].pk
    press_and_wait(page, "2")
    page.keyboard.press("s")
    press_and_wait(page, "s")
    page.keyboard.press("f")
    page.get_by_label("What is wrong with the image?").fill("二つの部品が写っている")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect_item(page, station.items[4].pk)
    expect_saved(page)
    page.keyboard.press("?")
    expect(page.locator("[data-help-dialog]")).to_be_visible()
    page.keyboard.press("Escape")
    decisions = [(d.item_id, d.kind, d.note) for d in Decision.objects.order_by("pk")]
    assert [(kind, note) for _item, kind, note in decisions] == [
        ("confirm", ""),
        ("correct", ""),
        ("undo", ""),
        ("correct", ""),
        ("skip", ""),
        ("flag", "二つの部品が写っている"),
    ]
    assert decisions[0][0] == first
    assert ConfirmedLabel.objects.get(image=station.items[1].image).label == station.labels[1]
    assert Decision.objects.filter(milliseconds__isnull=True).exclude(kind="undo").count() == 0


def test_held_keys_and_composed_text_record_no_answer(enter: Callable[..., Page]):
    station = station_with(5)
    page = enter(station, station.reviewer())
    item_of(page)
    page.evaluate(
        """() => {
          const send = (options) => document.querySelector("[data-stage]").dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", bubbles: true, ...options }));
          for (let i = 0; i < 5; i += 1) send({ repeat: true });
          send({ isComposing: true });
          send({ key: "Process", keyCode: 229 });
          send({ ctrlKey: true });
        }"""
    )
    assert item_of(page) == station.items[0].pk
    assert Decision.objects.count() == 0


def test_page_of_a_blind_image_contains_no_prediction(enter: Callable[..., Page]):
    station = station_with(0)
    station.item(stream=Stream.AUDIT, image=image_with_files(station))
    Label.objects.filter(pk=station.labels[0].pk).update(name="predicted-by-the-model")
    page = enter(station, station.reviewer())
    item_of(page)
    expect(page.locator("[data-prediction]")).to_contain_text("No prediction is shown for this image")
    expect(page.locator('[data-act="confirm"]')).to_be_hidden()
    panel = page.evaluate(
        """() => { const copy = document.querySelector("[data-panel]").cloneNode(true);
        copy.querySelector("[data-labels-list]").remove(); return copy.outerHTML }"""
    )
    assert "predicted-by-the-model" not in panel
    assert page.locator("[data-labels-list] .badge").count() == 0
    page.keyboard.press("Enter")
    assert Decision.objects.count() == 0
    press_and_wait(page, "1")
    expect_saved(page)
    assert Decision.objects.get().kind == "correct"


def test_answers_without_a_connection_are_kept_and_sent_once(
    enter: Callable[..., Page],
):
    station = station_with(4)
    page = enter(station, station.reviewer())
    item_of(page)
    wait_for_leases(page, 3)
    page.route("**/review/answer", lambda route: route.abort())
    press_and_wait(page, "Enter")
    expect(page.locator("[data-sync]")).to_have_attribute("data-state", "offline")
    press_and_wait(page, "2")
    expect(page.locator("[data-sync-text]")).to_contain_text("2")
    assert Decision.objects.count() == 0
    page.unroute("**/review/answer")
    page.reload()
    expect_saved(page)
    assert [d.item_id for d in Decision.objects.order_by("pk")] == [x.pk for x in station.items[:2]]
    assert item_of(page) == station.items[2].pk


def test_answer_and_next_image_take_one_request(enter: Callable[..., Page]):
    station = station_with(9)
    page = enter(station, station.reviewer())
    item_of(page)
    wait_for_leases(page, 3)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url.rsplit("/", 1)[-1]))
    for _ in range(4):
        press_and_wait(page, "Enter")
        expect_saved(page)
        wait_for_leases(page, 3)
    assert requests.count("answer") == 4
    assert "next" not in requests
    assert item_of(page) == station.items[4].pk
    expect(page.locator("[data-waiting]")).to_have_text("5")
    expect(page.locator("[data-today]")).to_have_text("4")


def test_reviewing_goes_on_if_no_image_could_be_leased_with_the_answer(enter: Callable[..., Page]):
    station = station_with(6)
    page = enter(station, station.reviewer())
    item_of(page)
    wait_for_leases(page, 3)

    def lease_nothing(route: Route) -> None:
        reply = route.fetch(post_data=json.dumps({**route.request.post_data_json, "next": None}))
        route.fulfill(response=reply)

    page.route("**/review/answer", lease_nothing)
    for place in range(1, 6):
        press_and_wait(page, "Enter")
        assert item_of(page) == station.items[place].pk
    press_and_wait(page, "Enter")
    expect(page.locator("[data-empty]")).to_be_visible()
    assert Decision.objects.count() == 6


def test_answer_with_a_lost_reply_is_recorded_once(enter: Callable[..., Page]):
    station = station_with(3)
    page = enter(station, station.reviewer())
    item_of(page)
    first_reply_lost = threading.Event()

    def lose_the_first_reply(route: Route) -> None:
        if first_reply_lost.is_set():
            route.continue_()
        else:
            first_reply_lost.set()
            route.fetch()
            route.abort()

    page.route("**/review/answer", lose_the_first_reply)
    press_and_wait(page, "Enter")
    expect_saved(page)
    assert first_reply_lost.is_set()
    assert Decision.objects.count() == 1


def test_leaving_the_page_releases_the_leases(enter: Callable[..., Page]):
    station = station_with(5)
    page = enter(station, station.reviewer())
    item_of(page)
    wait_for_leases(page, 2)
    page.goto("about:blank")
    for _ in range(150):
        if not Lease.objects.filter(ended_at__isnull=True).exists():
            break
        page.wait_for_timeout(100)
    assert not Lease.objects.filter(ended_at__isnull=True).exists()


def test_label_among_many_is_chosen_by_typing(enter: Callable[..., Page]):
    station = station_with(3, labels=14)
    for label, name in zip(
        station.labels[9:], ["打痕", "rolled-in scale", "inclusion", "crazing", "patches"], strict=True
    ):
        Label.objects.filter(pk=label.pk).update(name=name)
    page = enter(station, station.reviewer())
    item_of(page)
    before = item_of(page)
    page.keyboard.type("craz")
    expect(page.locator("[data-find-said]")).to_have_text("Enter chooses: crazing")
    page.keyboard.press("Enter")
    expect(page.locator("[data-station]")).not_to_have_attribute("data-item", str(before))
    item_of(page)
    page.keyboard.press("/")
    page.keyboard.insert_text("打")
    page.keyboard.press("Enter")
    expect_item(page, station.items[2].pk)
    expect_saved(page)
    assert [d.label.name for d in Decision.objects.order_by("pk")] == ["crazing", "打痕"]


def test_empty_queue_shows_the_reason_and_then_new_images(enter: Callable[..., Page]):
    station = station_with(1)
    page = enter(station, station.reviewer())
    press_and_wait(page, "Enter")
    expect(page.locator("[data-empty-text]")).to_contain_text("Nothing is left to review now")
    fresh = station.item(image=image_with_files(station))
    expect_item(page, fresh.pk)
    expect(page.locator("[data-empty]")).to_be_hidden()


def test_next_image_is_loaded_in_advance(enter: Callable[..., Page]):
    """The next image needs no network. benchmarks/review_latency.py measures how fast it is painted."""
    station = station_with(30)
    page = enter(station, station.reviewer())
    first = item_of(page)
    page.wait_for_function(
        """() => performance.getEntriesByType("resource")
            .filter((entry) => /images\\/[0-9a-f]{64}/.test(entry.name) && entry.responseEnd).length >= 2"""
    )
    page.route(re.compile(r"/images/[0-9a-f]{64}"), lambda route: route.abort())
    page.keyboard.press("Enter")
    page.wait_for_function(
        """(before) => {
            const image = document.querySelector("[data-canvas] img");
            const item = document.querySelector("[data-station]").dataset.item;
            return item !== String(before) && image?.naturalWidth > 0;
        }""",
        arg=first,
    )
    expect_saved(page)
    assert QueueItem.objects.filter(state="done").count() == 1


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_station_fits_the_screen(enter: Callable[..., Page], width: int, height: int, language: str):
    station = station_with(6)
    names = ["good", "scratch", "打痕", "rolled-in scale"]
    for label, name in zip(station.labels, names, strict=True):
        Label.objects.filter(pk=label.pk).update(
            name=name, guideline=f"{name}: longer than 2 mm. 長さ2mm以上。"
        )
    Label.objects.filter(pk=station.labels[1].pk).update(critical=True)
    phone = {"has_touch": True, "is_mobile": True} if width < 500 else {}
    page = enter(station, station.reviewer(), language, viewport={"width": width, "height": height}, **phone)
    close_guide(page)
    press_and_wait(page, "Enter")
    press_and_wait(page, "2")
    expect_saved(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations_of(page) == []
    confirm = page.locator('[data-act="confirm"]').bounding_box()
    assert confirm
    assert confirm["y"] + confirm["height"] <= height, "the confirm button is below the fold"
    if width < 500:
        assert confirm["height"] >= 44
    screenshots.save(page, f"station-{language}-{width}")
