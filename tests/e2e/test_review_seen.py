"""The station accepts an answer only for an image that the reviewer has seen."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mekiki.datasets.models import DEFAULT_DISPLAY_MS
from mekiki.review.models import Decision
from tests.e2e.station_setup import (
    expect_item,
    expect_saved,
    image_with_files,
    item_of,
    open_again,
    press_and_wait,
    station_with,
)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
]

# Presses one key, and again when the next image is painted or after a number of milliseconds.
TWICE = """([first, second, after]) => new Promise((done) => {
  const root = document.querySelector("[data-station]");
  const press = (what) => what.startsWith("click:")
    ? document.querySelector(what.slice(6)).click()
    : document.querySelector("[data-stage]").dispatchEvent(
        new KeyboardEvent("keydown", { key: what, bubbles: true, cancelable: true }));
  const before = document.querySelector("[data-canvas] img");
  press(first);
  const look = () => {
    const now = document.querySelector("[data-canvas] img");
    if (!now || now === before) return requestAnimationFrame(look);
    setTimeout(() => { press(second); setTimeout(done, 50); }, after);
  };
  look();
})"""
CONFIRM = 'click:[data-act="confirm"]'
LABEL = "click:[data-labels-list] li:nth-child(2) button"


def test_second_press_does_not_answer_the_next_image(enter: Callable[..., Page]):
    presses = (
        *(("Enter", "Enter"), ("2", "2"), ("Enter", "s"), ("Enter", "f")),
        *((CONFIRM, CONFIRM), (LABEL, LABEL)),
    )
    station = station_with(2 * len(presses) + 1)
    items = [item.pk for item in station.items]
    page = enter(station, station.reviewer())
    for number, (first, second) in enumerate(presses):
        item, following, next_but_one = items[2 * number : 2 * number + 3]
        expect_item(page, item)
        item_of(page)
        page.evaluate(TWICE, [first, second, 10])
        expect(page.locator("[data-hint]")).to_contain_text("Nothing was recorded")
        expect(page.locator("[data-said]")).to_contain_text("look at it, then answer")
        expect(page.locator("dialog[open]")).to_have_count(0)
        expect_item(page, following)
        expect_saved(page)
        answered = list(Decision.objects.order_by("pk").values_list("item", flat=True))
        assert answered == items[: 2 * number + 1], (first, second)
        press_and_wait(page, "Enter")  # The image has been seen by now.
        expect_saved(page)
        assert Decision.objects.count() == 2 * number + 2
        expect_item(page, next_but_one)
        open_again(page)
    assert all((d.milliseconds or 0) >= DEFAULT_DISPLAY_MS for d in Decision.objects.all())


def test_double_click_records_one_answer(enter: Callable[..., Page]):
    station = station_with(4)
    page = enter(station, station.reviewer())
    item_of(page)
    box = page.locator('[data-act="confirm"]').bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    for count in (1, 2):
        page.mouse.down(click_count=count)
        page.mouse.up(click_count=count)
        page.wait_for_timeout(260 if count == 1 else 50)
    expect_item(page, station.items[1].pk)
    expect_saved(page)
    assert Decision.objects.count() == 1


def test_undo_key_pressed_twice_undoes_one_answer(
    enter: Callable[..., Page],
):
    station = station_with(5)
    page = enter(station, station.reviewer())
    for _ in range(3):
        press_and_wait(page, "Enter")
    item_of(page)
    expect_saved(page)
    page.evaluate(TWICE, ["z", "z", 10])
    expect_item(page, station.items[2].pk)
    assert Decision.objects.filter(kind="undo").count() == 1
    page.evaluate(TWICE, ["z", "Enter", 10])
    expect_item(page, station.items[1].pk)
    expect_saved(page)
    assert Decision.objects.filter(kind="undo").count() == 2
    assert Decision.objects.filter(kind="confirm").count() == 3


@pytest.mark.parametrize("key", ["Enter", "2", "s"])
def test_key_right_after_a_dialog_or_an_absence_records_no_answer(enter: Callable[..., Page], key: str):
    station = station_with(3)
    page = enter(station, station.reviewer())
    item = item_of(page)
    page.evaluate(
        """(key) => new Promise((done) => {
          const press = () => document.querySelector("[data-stage]").dispatchEvent(
            new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
          const help = document.querySelector("[data-help-dialog]");
          document.querySelector('[data-act="help"]').click();
          help.addEventListener("close", () => {
            press();
            setTimeout(() => {
              document.dispatchEvent(new Event("visibilitychange"));
              press();
              window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: false }));
              press();
              setTimeout(done, 50);
            }, 400);
          });
          help.close();
        })""",
        key,
    )
    page.wait_for_timeout(300)
    assert item_of(page) == item
    assert Decision.objects.count() == 0
    expect(page.locator("dialog[open]")).to_have_count(0)
    if key == "s":
        page.keyboard.press(key)  # Opens the menu; the second press skips.
    press_and_wait(page, key)
    expect_saved(page)
    assert Decision.objects.count() == 1


def test_key_right_after_the_end_of_loading_is_taken(enter: Callable[..., Page]):
    """The browser can report the end of loading after the first image accepts answers."""
    station = station_with(3)
    page = enter(station, station.reviewer())
    item = item_of(page)
    page.evaluate(
        """() => {
          window.dispatchEvent(new PageTransitionEvent("pageshow", { persisted: false }));
          document.querySelector("[data-stage]").dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
        }"""
    )
    expect_saved(page)
    assert Decision.objects.get().item_id == item


def test_image_that_does_not_load_can_only_be_skipped(enter: Callable[..., Page]):
    station = station_with(1)
    page = enter(station, station.reviewer())
    item_of(page)
    page.route(re.compile(r"/images/[0-9a-f]{64}"), lambda route: route.abort())
    broken = station.item(image=image_with_files(station))
    page.keyboard.press("Enter")
    expect_item(page, broken.pk)
    expect(page.locator("[data-loading]")).to_contain_text("could not be loaded")
    page.keyboard.press("2")
    expect(page.locator("[data-hint]")).to_contain_text("Nothing was recorded")
    page.wait_for_timeout(100)  # Three keys without a pause would be the code of a scanner.
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(page.locator("[data-empty]")).to_be_visible()
    expect_saved(page)
    kinds = [(d.item_id, d.kind, d.milliseconds is None) for d in Decision.objects.order_by("pk")[1:]]
    assert kinds == [(broken.pk, "skip", True)]


def test_press_that_began_on_another_image_records_no_answer(enter: Callable[..., Page]):
    """The pointer goes down on one image, another image replaces it, and the pointer goes up."""
    station = station_with(4)
    page = enter(station, station.reviewer())
    item = item_of(page)
    box = page.locator("[data-labels-list] li:nth-child(2) button").bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.evaluate(
        """() => document.querySelector("[data-stage]").dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", repeat: false, bubbles: true, cancelable: true }))"""
    )
    expect_item(page, station.items[1].pk)
    page.mouse.up()
    page.wait_for_timeout(100)
    expect_saved(page)
    assert [(d.item_id, d.kind) for d in Decision.objects.all()] == [(item, "confirm")]


def test_flag_is_refused_if_the_image_changed_during_the_note(enter: Callable[..., Page]):
    from tests.e2e.test_review_finder import take_leases_away

    station = station_with(6)
    page = enter(station, station.reviewer())
    item_of(page)
    page.keyboard.press("f")
    page.get_by_label("What is wrong with the image?").fill("two parts")
    take_leases_away(page, station)
    page.wait_for_function(
        "(item) => document.querySelector('[data-station]').dataset.item === String(item)",
        arg=station.items[3].pk,
    )
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-notice]")).to_contain_text("Another image appeared while you wrote the note")
    assert Decision.objects.count() == 0


def test_displayed_rate_excludes_pauses(enter: Callable[..., Page]):
    station = station_with(8)
    page = enter(station, station.reviewer())
    page.clock.install()
    page.reload()
    wait_for_item_by_clock(page)
    for answer in range(7):
        page.clock.run_for(2_000 if answer != 3 else 3_600_000)
        before = page.get_attribute("[data-station]", "data-item")
        page.keyboard.press("Enter")
        expect(page.locator("[data-station]")).not_to_have_attribute("data-item", str(before))
        wait_for_item_by_clock(page)
    rate = int("".join(c for c in page.locator("[data-rate]").inner_text() if c.isdigit()))
    assert 1000 < rate < 2000  # One after about 2 to 3 seconds, and none in ten minutes.


def wait_for_item_by_clock(page: Page) -> Any:
    for _ in range(100):
        if page.locator("[data-station][data-item]").count():
            return
        page.clock.run_for(100)
        page.wait_for_timeout(50)
