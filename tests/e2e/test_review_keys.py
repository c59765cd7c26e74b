"""Own keys and one-hand layouts: the page of the keys, and the station that obeys them."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from mekiki.review.models import Decision, ReviewPreferences
from mekiki.review.services import save_preferences
from tests.e2e import screenshots
from tests.e2e.station_setup import expect_saved, item_of, press_and_wait, station_with

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def open_keys(page: Page) -> None:
    page.goto(page.evaluate("location.origin") + "/accounts/review-keys/")
    page.wait_for_selector("[data-picture] svg")


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("ja", 390)])
def test_keys_are_changed_by_keyboard_and_conflicts_are_refused(
    enter: Callable[..., Page], language: str, width: int
):
    station = station_with(4)
    user = station.reviewer()
    page = enter(station, user, language, viewport={"width": width, "height": 900})
    item_of(page)
    open_keys(page)
    page.locator('[data-change="skip"]').focus()
    page.keyboard.press("Enter")
    said = page.locator("[data-said]")
    page.keyboard.press("f")  # the key of flag
    expect(said).to_contain_text("F")
    page.keyboard.press("Control+k")
    page.keyboard.press("F2")
    assert ReviewPreferences.objects.filter(keys__has_key="skip").count() == 0
    page.keyboard.press("j")
    expect(page.locator('[data-key-of="skip"]')).to_have_text("J")
    expect(page.locator('[data-reset="skip"]')).to_be_visible()
    # Esc keeps a key.
    page.locator('[data-change="undo"]').click()
    page.keyboard.press("Escape")
    expect(page.locator('[data-key-of="undo"]')).to_have_text("Z")
    # The picture shows every letter that is a command.
    used = page.locator(".keyboard__key--used .keyboard__sign").all_text_contents()
    assert {*"ARFGHWMZJ"} <= {*used} and "S" not in used
    screenshots.save(page, f"review-keys-{language}", full_page=True)
    assert Axe().run(page, context="[data-review-keys]").response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert ReviewPreferences.objects.get(user=user).keys == {"skip": {"code": "KeyJ", "text": "J"}}
    page.go_back()
    item_of(page)
    page.wait_for_timeout(300)
    expect(page.locator('[data-panel] [data-act="skip"] kbd')).to_have_text("J")
    page.keyboard.press("s")  # no longer a command
    expect(page.locator("[data-skip-dialog]")).to_be_hidden()
    page.wait_for_timeout(100)  # Three keys without a pause would be the code of a scanner.
    page.keyboard.press("j")
    expect(page.locator("[data-skip-dialog]")).to_be_visible()
    page.wait_for_timeout(100)
    page.keyboard.press("j")
    expect_saved(page)
    assert [d.kind for d in Decision.objects.all()] == ["skip"]
    open_keys(page)
    page.locator("[data-reset-all]").click()
    expect(page.locator('[data-key-of="skip"]')).to_have_text("S")
    assert page.problems == []  # type: ignore[attr-defined]


def press_code(page: Page, code: str, key: str) -> None:
    """Press the key at a place of the keyboard that types this character."""
    page.evaluate(
        """([code, key]) => (document.activeElement ?? document.body).dispatchEvent(
          new KeyboardEvent("keydown", { code, key, bubbles: true, cancelable: true }))""",
        [code, key],
    )


def test_one_hand_layout_answers_with_the_places_of_the_keys(enter: Callable[..., Page]):
    station = station_with(7)
    user = station.reviewer()
    save_preferences(user=user, layout="left")
    page = enter(station, user)
    item_of(page)
    kbds = page.locator("[data-labels-list] kbd")
    assert kbds.all_inner_texts() == ["Q", "W", "E", "A"]
    expect(page.locator('[data-act="confirm"] kbd')).to_have_text("F")
    page.wait_for_timeout(300)
    press_and_wait(page, "w")
    page.wait_for_timeout(300)
    press_and_wait(page, "f")
    page.wait_for_timeout(300)
    before = item_of(page)
    page.keyboard.press("2")  # zoom in, no label
    page.keyboard.press("s")  # label 5, which this dataset lacks
    assert item_of(page) == before
    # A French keyboard types “a” at the place of Q: the place counts.
    press_code(page, "KeyQ", "a")
    expect(page.locator("[data-station]")).not_to_have_attribute("data-item", str(before))
    item_of(page)
    page.wait_for_timeout(300)
    # The skip key, and the third label's key for the third reason.
    page.keyboard.press("r")
    expect(page.locator("[data-skip-dialog] li kbd")).to_have_text(["Q", "W", "E", "A"])
    page.wait_for_timeout(100)
    press_and_wait(page, "e")
    expect_saved(page)
    rows = [
        (d.kind, d.label and d.label.pk, d.reason)
        for d in Decision.objects.order_by("pk").select_related("label")
    ]
    labels: list[Any] = [label.pk for label in station.labels]
    assert rows == [
        ("correct", labels[1], ""),
        ("confirm", labels[0], ""),
        ("confirm", labels[0], ""),
        ("skip", None, "expert"),
    ]
    page.keyboard.press("F1")
    help_dialog = page.locator("[data-help-dialog]")
    expect(help_dialog.locator('kbd[data-key="skip"]')).to_have_text("R")
    expect(help_dialog.locator('kbd[data-key="label-9"]')).to_have_text("C")
    assert help_dialog.evaluate("dialog => dialog.scrollTop") == 0, "it begins at its heading"
    screenshots.save(page, "review-left-hand")


def test_held_own_key_does_not_repeat_and_composed_text_is_no_command(enter: Callable[..., Page]):
    station = station_with(3)
    user = station.reviewer()
    save_preferences(user=user, layout="right")
    page = enter(station, user)
    first = item_of(page)
    page.wait_for_timeout(300)
    page.evaluate(
        """() => {
          const send = options => document.querySelector("[data-stage]").dispatchEvent(
            new KeyboardEvent("keydown", { key: "h", code: "KeyH", bubbles: true, ...options }));
          for (let n = 0; n < 5; n += 1) send({ repeat: true });
          send({ isComposing: true });
          send({ key: "Process", keyCode: 229 });
          send({ ctrlKey: true });
        }"""
    )
    assert item_of(page) == first
    assert Decision.objects.count() == 0
    # Backspace closes a window in this layout, because Esc is out of reach.
    page.keyboard.press("n")
    page.keyboard.press("F1")
    expect(page.locator("[data-help-dialog]")).to_be_visible()
    page.keyboard.press("Backspace")
    expect(page.locator("[data-help-dialog]")).to_be_hidden()
