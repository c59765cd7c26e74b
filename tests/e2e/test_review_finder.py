"""Finding a label by typing: letters are text, and the text belongs to the image on the screen."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from mekiki.labeling.models import Label
from mekiki.review.models import Decision, Lease
from tests.e2e.axe import violations_of
from tests.e2e.station_setup import (
    expect_item,
    expect_saved,
    image_with_files,
    item_of,
    open_again,
    station_with,
    wait_for_leases,
)
from tests.review_setup import Station

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
]

NAMES = (
    *("inclusion", "patches", "crazing", "rolled-in scale", "pitted surface"),
    *("good", "scratch", "flaking", "zinc spot", "打痕", "きず", "oil", "water mark", "Ärger"),
)


def station_with_names(names: tuple[str, ...] = NAMES, items: int = 4) -> Station:
    station = station_with(items, labels=len(names))
    for label, name in zip(station.labels, names, strict=True):
        Label.objects.filter(pk=label.pk).update(name=name)
    return station


def recorded_answers(page: Page) -> list[tuple[int, str, str]]:
    expect_saved(page)
    rows = Decision.objects.order_by("pk").select_related("label")
    return [(d.item_id, d.kind, d.label.name if d.label else "") for d in rows]


def choose_by_text(page: Page, text: str, label: str) -> None:
    item_of(page)
    page.keyboard.type(text)
    expect(page.locator("[data-find-said]")).to_have_text(f"Enter chooses: {label}")
    page.keyboard.press("Enter")


def test_label_that_begins_with_a_command_key_can_be_chosen(enter: Callable[..., Page]):
    names = ("scratch", "flaking", "zinc spot", "oil", "Ärger", "rolled-in scale")
    station = station_with_names(items=len(names) + 1)
    page = enter(station, station.reviewer())
    expected = []
    for name, following in zip(names, station.items[1:], strict=True):
        expected.append((item_of(page), "correct", name))
        choose_by_text(page, name, name)
        expect_item(page, following.pk)
        expect(page.locator("dialog[open]")).to_have_count(0)
        assert recorded_answers(page) == expected


def test_single_keys_are_text_while_the_finder_is_shown(enter: Callable[..., Page]):
    station = station_with_names()
    page = enter(station, station.reviewer())
    item = item_of(page)
    for key in ("s", "f", "z", "?", "S", "F", "Z"):
        page.keyboard.press(key)
        page.wait_for_timeout(300)
        assert item_of(page) == item, key
        expect(page.locator("dialog[open]")).to_have_count(0)
        assert Decision.objects.count() == 0, key
        if key != "?":
            assert page.input_value("[data-find]") == key
        open_again(page)
        item = item_of(page)


def test_buttons_show_separate_command_keys_next_to_the_finder(enter: Callable[..., Page]):
    station = station_with_names()
    page = enter(station, station.reviewer())
    first = item_of(page)
    for action, key_text, aria in (
        ("skip", "Shift+→", "Shift+ArrowRight"),
        ("flag", "Shift+↑", "Shift+ArrowUp"),
        ("undo", "Shift+←", "Shift+ArrowLeft"),
    ):
        button = page.locator(f'.station__acts [data-act="{action}"]')
        expect(button).to_contain_text(key_text)
        expect(button).to_have_attribute("aria-keyshortcuts", aria)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect_item(page, station.items[1].pk)
    expect_saved(page)
    page.keyboard.press("Shift+ArrowLeft")
    expect_item(page, first)
    page.keyboard.press("Shift+ArrowUp")
    page.get_by_label("What is wrong with the image?").fill("dust")
    page.keyboard.press("Control+Enter")
    expect_item(page, station.items[1].pk)
    expect(page.locator("[data-history-list] .badge")).to_have_text("Shift+← ↶")
    page.keyboard.press("F1")
    help_box = page.locator("[data-help-dialog]")
    expect(help_box).to_be_visible()
    expect(help_box).to_contain_text("Shift+→")
    assert [kind for _item, kind, _label in recorded_answers(page)] == ["skip", "undo", "flag"]
    assert violations_of(page) == []


def test_letters_are_commands_with_few_labels_unless_the_finder_is_open(
    enter: Callable[..., Page],
):
    station = station_with_names(("good", "scratch", "zinc spot"))
    page = enter(station, station.reviewer())
    first = item_of(page)
    skip = page.locator('.station__acts [data-act="skip"]')
    expect(skip).to_have_attribute("aria-keyshortcuts", "S Shift+ArrowRight")
    page.keyboard.press("/")
    expect(skip).to_have_attribute("aria-keyshortcuts", "Shift+ArrowRight")
    page.keyboard.type("zin")
    page.locator("[data-canvas]").click()  # The keys apply to the image again while the finder stays open.
    page.keyboard.type("c")
    expect(page.locator("[data-find-said]")).to_have_text("Enter chooses: zinc spot")
    page.keyboard.press("Enter")
    expect_item(page, station.items[1].pk)
    expect(page.locator("[data-find-box]")).to_be_hidden()
    page.keyboard.press("s")
    page.keyboard.press("s")
    expect_item(page, station.items[2].pk)
    assert recorded_answers(page) == [(first, "correct", "zinc spot"), (station.items[1].pk, "skip", "")]


def test_digits_are_text_in_the_finder_if_a_label_begins_with_a_digit(
    enter: Callable[..., Page],
):
    station = station_with_names(("good", "3M tape", "type 2", *NAMES[:5], *NAMES[6:10]))
    page = enter(station, station.reviewer())
    first = item_of(page)
    assert page.locator("[data-labels-list] kbd").all_inner_texts() == ["·"] * 12
    choose_by_text(page, "3m", "3M tape")
    expect_item(page, station.items[1].pk)
    choose_by_text(page, "type 2", "type 2")
    expect_item(page, station.items[2].pk)
    assert recorded_answers(page) == [
        (first, "correct", "3M tape"),
        (station.items[1].pk, "correct", "type 2"),
    ]


def test_digits_are_keys_of_the_first_nine_labels(enter: Callable[..., Page]):
    station = station_with_names()
    page = enter(station, station.reviewer())
    first = item_of(page)
    page.keyboard.press("2")
    expect_item(page, station.items[1].pk)
    assert recorded_answers(page) == [(first, "correct", "patches")]


def take_leases_away(page: Page, station: Station) -> None:
    """Give the leases of the page to another reviewer. The page notices it as after an absence."""
    wait_for_leases(page, 3)
    now = timezone.now()
    Lease.objects.filter(ended_at__isnull=True).update(ended_at=now, expires_at=now - timedelta(seconds=1))
    station.next(station.reviewer(), 3)
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")


@pytest.mark.parametrize("rest", ["s", "atch"])
def test_text_typed_for_a_lost_image_does_not_label_another_image(enter: Callable[..., Page], rest: str):
    station = station_with_names(items=6)
    page = enter(station, station.reviewer())
    item_of(page)
    page.wait_for_timeout(300)
    page.keyboard.type("scr")
    expect(page.locator("[data-find-said]")).to_have_text("Enter chooses: scratch")
    take_leases_away(page, station)
    expect(page.locator("[data-find]")).to_have_value("")
    page.keyboard.type(rest)
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    expect_item(page, station.items[3].pk)
    assert Decision.objects.count() == 0
    assert page.input_value("[data-find]") == ""


def test_letters_typed_after_the_image_is_lost_are_not_commands(enter: Callable[..., Page]):
    station = station_with_names(("good", "patches", "zinc spot"), items=6)
    page = enter(station, station.reviewer())
    item_of(page)
    page.keyboard.press("/")
    page.keyboard.type("pat")
    take_leases_away(page, station)
    expect(page.locator("[data-find-box]")).to_be_hidden()
    page.keyboard.type("ches")
    page.keyboard.press("Enter")
    expect_item(page, station.items[3].pk)
    page.wait_for_timeout(300)
    assert Decision.objects.count() == 0


def test_key_for_a_lost_image_is_ignored_with_a_hint(enter: Callable[..., Page]):
    """The key comes while the page does not yet show another image, and nothing was typed before."""
    station = station_with_names(items=6)
    page = enter(station, station.reviewer())
    item_of(page)
    # The page ignores keys for a second. The clock stands still, so that a slow machine is not too late.
    page.evaluate("() => { const now = performance.now(); performance.now = () => now; }")
    take_leases_away(page, station)
    page.wait_for_selector("[data-station]:not([data-item])", state="attached")
    expect(page.locator("[data-hint]")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator("[data-hint]")).to_contain_text("Nothing was recorded; type again.")
    assert Decision.objects.count() == 0


def slow_images(page: Page) -> list[Any]:
    """Delay all images until the test releases them."""
    waiting: list[Any] = []
    page.route(re.compile(r"/images/[0-9a-f]{64}"), lambda route: waiting.append(route))
    return waiting


def test_letters_typed_while_an_image_loads_are_ignored(enter: Callable[..., Page]):
    station = station_with_names(items=1)
    page = enter(station, station.reviewer())
    first = item_of(page)
    waiting = slow_images(page)
    station.item(image=image_with_files(station))
    page.keyboard.press("2")
    expect(page.locator("[data-loading]")).to_be_visible(timeout=20_000)
    for _ in range(100):
        if waiting:
            break
        page.wait_for_timeout(100)
    page.keyboard.type("scratch", delay=80)
    page.keyboard.press("Enter")
    expect(page.locator("[data-hint]")).to_contain_text("Nothing was recorded")
    page.unroute(re.compile(r"/images/[0-9a-f]{64}"))  # Releases the delayed images.
    second = item_of(page)
    assert page.input_value("[data-find]") == ""
    assert recorded_answers(page) == [(first, "correct", "patches")]
    page.wait_for_timeout(1100)
    choose_by_text(page, "scratch", "scratch")
    expect(page.locator("[data-empty]")).to_be_visible()
    assert recorded_answers(page)[1:] == [(second, "correct", "scratch")]


def compose(page: Page, *steps: str, commit: bool = True) -> None:
    """Type with an input method step by step, then accept the text with Enter."""
    session = page.context.new_cdp_session(page)
    for text in steps:
        session.send(
            "Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
        )
    if commit:
        page.evaluate(
            """() => document.activeElement.dispatchEvent(new KeyboardEvent("keydown",
                { key: "Enter", isComposing: true, keyCode: 229, bubbles: true, cancelable: true }))"""
        )
        session.send("Input.insertText", {"text": steps[-1]})


def test_composed_japanese_name_is_chosen_and_the_finder_keeps_the_focus(enter: Callable[..., Page]):
    station = station_with_names()
    page = enter(station, station.reviewer())
    first = item_of(page)
    page.keyboard.press("/")
    compose(page, "だ", "だこ", "だこん", "打痕")
    expect(page.locator("[data-find-said]")).to_have_text("Enter chooses: 打痕")
    assert Decision.objects.count() == 0
    page.keyboard.press("Enter")
    expect_item(page, station.items[1].pk)
    expect(page.locator("[data-find]")).to_be_focused()
    compose(page, "き", "きz", "きず")
    page.keyboard.press("Enter")
    expect_item(page, station.items[2].pk)
    page.keyboard.press("Enter")  # Without a text it accepts the prediction.
    expect_item(page, station.items[3].pk)
    assert recorded_answers(page) == [
        (first, "correct", "打痕"),
        (station.items[1].pk, "correct", "きず"),
        (station.items[2].pk, "confirm", "inclusion"),
    ]


def test_composition_for_a_lost_image_is_discarded(enter: Callable[..., Page]):
    station = station_with_names(items=6)
    page = enter(station, station.reviewer())
    item_of(page)
    page.keyboard.press("/")
    compose(page, "だ", "打痕", commit=False)
    take_leases_away(page, station)
    expect(page.locator("[data-find]")).to_have_value("")
    page.keyboard.press("Enter")
    expect_item(page, station.items[3].pk)
    page.wait_for_timeout(300)
    assert Decision.objects.count() == 0


def test_short_code_finds_its_label_by_typing_and_by_a_scan(enter: Callable[..., Page]):
    station = station_with_names(items=3)
    Label.objects.filter(name="scratch").update(code="Q7")
    page = enter(station, station.reviewer())
    first = item_of(page)
    expect(page.locator(".station__label-code")).to_have_text("Q7")
    page.wait_for_timeout(300)
    page.keyboard.type("q7", delay=80)
    expect(page.locator("[data-find-said]")).to_have_text("Enter chooses: scratch")
    page.keyboard.press("Enter")
    expect_item(page, station.items[1].pk)
    second = item_of(page)
    page.wait_for_timeout(300)
    page.keyboard.type("Q7\n")  # at once, as a scanner
    expect_item(page, station.items[2].pk)
    assert recorded_answers(page) == [(first, "correct", "scratch"), (second, "correct", "scratch")]
