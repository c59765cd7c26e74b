"""Swipes on a phone: confirm, go to the labels, cancel; two fingers and an enlarged image are no swipe."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mekiki.review.models import Decision, Stream
from tests.e2e import screenshots
from tests.e2e.station_setup import expect_saved, image_with_files, item_of, station_with

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


class Fingers:
    """Touches of the screen, through the interface of Chromium's developer tools."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.tools = page.context.new_cdp_session(page)
        box = page.locator("[data-canvas]").bounding_box()
        assert box is not None
        self.x, self.y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": self.x + dx, "y": self.y + dy, "id": n} for n, (dx, dy) in enumerate(points)]
        self.tools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def swipe(self, *way: tuple[float, float]) -> None:
        """Move one finger along these points, from the middle of the image, and lift it."""
        self.send("touchStart", way[0])
        for point in way[1:]:
            self.send("touchMove", point)
        self.send("touchEnd")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_swipes_confirm_and_go_to_the_labels(enter: Callable[..., Page], language: str):
    station = station_with(4)
    page = enter(station, station.reviewer(), language, **PHONE)
    first = item_of(page)
    page.wait_for_timeout(300)
    fingers = Fingers(page)
    expect(page.locator("[data-swipe-help]")).to_be_visible()
    # A short swipe, one that moves back, and one up: nothing.
    fingers.swipe((-40, 0), (-10, 0), (20, 0))
    fingers.swipe((-60, 0), (0, 0), (80, 0), (-40, 0))
    fingers.swipe((0, 60), (5, 0), (10, -120))
    assert page.get_attribute("[data-station]", "data-item") == str(first)
    assert Decision.objects.count() == 0
    fingers.send("touchStart", (-70, 0))
    for dx in (-40, 0, 40, 70):
        fingers.send("touchMove", (dx, 0))
    expect(page.locator("[data-swipe]")).to_contain_text(station.labels[0].name)
    screenshots.save(page, f"review-swipe-{language}")
    fingers.send("touchEnd")
    expect(page.locator("[data-station]")).not_to_have_attribute("data-item", str(first))
    expect_saved(page)
    assert [(d.item_id, d.kind) for d in Decision.objects.all()] == [(first, "confirm")]
    expect(page.locator("[data-swipe-help]")).to_be_hidden()
    expect(page.locator('[data-panel] [data-act="undo"]')).to_be_in_viewport()
    second = item_of(page)
    page.wait_for_timeout(300)
    fingers.swipe((70, 0), (30, 0), (-30, 2), (-80, 4))
    label = page.locator("[data-labels-list] button").first
    expect(label).to_be_focused()
    expect(label).to_be_in_viewport()
    assert page.get_attribute("[data-station]", "data-item") == str(second)
    # The help does not come back.
    page.reload()
    item_of(page)
    expect(page.locator("[data-swipe-help]")).to_be_hidden()
    assert page.problems == []  # type: ignore[attr-defined]


def test_two_fingers_and_an_enlarged_image_are_no_swipe(enter: Callable[..., Page]):
    station = station_with(3)
    page = enter(station, station.reviewer(), **PHONE)
    first = item_of(page)
    page.wait_for_timeout(300)
    fingers = Fingers(page)
    fingers.send("touchStart", (-20, 0))
    fingers.send("touchStart", (-20, 0), (20, 0))
    for way in (30, 60, 90):
        fingers.send("touchMove", (-20 - way, 0), (20 + way, 0))
    fingers.send("touchEnd", (-110, 0))
    fingers.send("touchMove", (110, 0))
    fingers.send("touchEnd")
    # The pinch has enlarged the image: one finger moves it.
    fingers.swipe((-90, 0), (-40, 0), (40, 0), (110, 0))
    page.wait_for_timeout(300)
    assert page.get_attribute("[data-station]", "data-item") == str(first)
    assert Decision.objects.count() == 0
    before = page.locator("[data-canvas] img").get_attribute("style")
    fingers.swipe((60, 0), (30, 0), (0, 0))
    assert page.locator("[data-canvas] img").get_attribute("style") != before


def test_swipe_on_an_image_without_prediction_says_why_nothing_was_recorded(enter: Callable[..., Page]):
    station = station_with(0)
    station.item(stream=Stream.AUDIT, image=image_with_files(station))
    page = enter(station, station.reviewer(), **PHONE)
    item_of(page)
    page.wait_for_timeout(300)
    Fingers(page).swipe((-80, 0), (-40, 0), (40, 0), (80, 0))
    expect(page.locator("[data-hint]")).to_contain_text("No prediction is shown")
    assert Decision.objects.count() == 0
