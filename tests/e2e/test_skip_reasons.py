"""The reasons of skips and flags in a real Chromium: keys, touch, screen reader, and images that change."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from mekiki.review.models import ConfirmedLabel, Decision, QueueItem
from tests.e2e.axe import violations_of
from tests.e2e.station_setup import expect_item, expect_saved, item_of, station_with
from tests.e2e.test_review_finder import take_leases_away

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

MENU = "[data-skip-dialog]"


def recorded(page: Page) -> list[tuple[int | None, str, str, str]]:
    expect_saved(page)
    rows = Decision.objects.order_by("pk").values_list("item_id", "kind", "reason", "note")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("language", "title", "choice"),
    [("en", "Skip this image", "needs an expert"), ("ja", "この画像をスキップ", "専門家の確認が必要")],
)
def test_skip_with_a_reason_by_keyboard(enter: Callable[..., Page], language: str, title: str, choice: str):
    station = station_with(6)
    page = enter(station, station.reviewer(), language)
    items = [item.pk for item in station.items]
    item_of(page)
    page.keyboard.press("s")
    menu = page.get_by_role("dialog", name=title)
    expect(menu).to_be_visible()
    # A screen reader reads the choices when the menu opens.
    description = menu.evaluate(
        "(menu) => menu.getAttribute('aria-describedby').split(' ')"
        ".map(id => document.getElementById(id).textContent).join(' ')"
    )
    assert choice in description
    assert violations_of(page) == []
    page.keyboard.press("3")
    expect_item(page, items[1])
    for key in ("s", "Enter", "Shift+ArrowRight"):  # Each skips without a reason.
        before = item_of(page)
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press(key)
        expect_item(page, items[items.index(before) + 1])
    item_of(page)
    page.keyboard.press("s")
    page.keyboard.press("4")
    page.wait_for_timeout(100)  # Three keys without a pause would be the code of a scanner.
    page.keyboard.insert_text("3 parts")  # Digits are text in the note.
    page.keyboard.press("Enter")
    expect_item(page, items[5])
    assert recorded(page) == [
        (items[0], "skip", "expert", ""),
        *((item, "skip", "", "") for item in items[1:4]),
        (items[4], "skip", "other", "3 parts"),
    ]


def test_escape_and_keys_without_a_meaning_skip_nothing(enter: Callable[..., Page]):
    station = station_with(3)
    page = enter(station, station.reviewer())
    first = item_of(page)
    page.keyboard.press("s")
    for key in ("9", "x", "z", "f", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator(MENU)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(MENU)).to_be_hidden()
    assert item_of(page) == first
    assert recorded(page) == []


@pytest.mark.parametrize("keys", [["s"], ["Shift", "ArrowRight"], ["Enter"]])
def test_held_key_opens_the_menu_and_does_not_go_through_it(enter: Callable[..., Page], keys: list[str]):
    station = station_with(3)
    page = enter(station, station.reviewer())
    first = item_of(page)
    if keys == ["Enter"]:
        page.locator('.station__acts [data-act="skip"]').focus()
    for key in keys[:-1]:
        page.keyboard.down(key)
    for _ in range(4):  # The browser gets the second and later ones as repetitions of a held key.
        page.keyboard.down(keys[-1])
    for key in reversed(keys):
        page.keyboard.up(key)
    expect(page.locator(MENU)).to_be_visible()
    assert recorded(page) == []
    page.keyboard.press("Enter")
    expect_item(page, station.items[1].pk)
    assert recorded(page) == [(first, "skip", "", "")]


def test_letters_are_no_command_in_the_menu_if_there_is_a_finder(enter: Callable[..., Page]):
    station = station_with(3, labels=12)
    page = enter(station, station.reviewer())
    first = item_of(page)
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("s")
    expect(page.locator(MENU)).to_be_visible()
    page.keyboard.press("1")
    expect_item(page, station.items[1].pk)
    assert recorded(page) == [(first, "skip", "unclear", "")]


def test_skip_is_refused_if_the_image_changed_while_the_menu_was_open(enter: Callable[..., Page]):
    station = station_with(6)
    page = enter(station, station.reviewer())
    item_of(page)
    page.keyboard.press("s")
    expect(page.locator(MENU)).to_be_visible()
    take_leases_away(page, station)
    expect_item(page, station.items[3].pk)
    page.keyboard.press("1")
    expect(page.locator("[data-notice]")).to_contain_text("Another image appeared while the menu was open")
    assert recorded(page) == []


def test_skip_by_touch_on_a_phone(enter: Callable[..., Page]):
    station = station_with(3)
    page = enter(
        station,
        station.reviewer(),
        "ja",
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        color_scheme="dark",
    )
    first = item_of(page)
    page.locator('.station__acts [data-act="skip"]').tap()
    menu = page.locator(MENU)
    expect(menu).to_be_visible()
    assert violations_of(page) == []
    box = menu.bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390
    sizes = menu.locator("li button").evaluate_all("all => all.map(b => b.getBoundingClientRect().height)")
    assert len(sizes) == 4 and min(sizes) >= 24
    menu.get_by_role("button", name="ラベルの一覧にない").tap()
    expect_item(page, station.items[1].pk)
    assert recorded(page) == [(first, "skip", "not_in_list", "")]


# The next key comes in the task that closes the dialog, before the browser reports its end.
FLAG_AND_PRESS = """async ([dialog, key]) => {
  const form = document.querySelector(dialog).querySelector("form");
  form.requestSubmit(form.querySelector('[value="flag"]'));
  await null;
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  document.activeElement.dispatchEvent(event);
}"""


def test_key_right_after_the_dialog_of_a_flag_does_not_replace_the_flag(enter: Callable[..., Page]):
    station = station_with(2)
    page = enter(station, station.reviewer())
    item = item_of(page)
    page.keyboard.press("f")
    expect(page.locator("[data-flag-dialog]")).to_be_visible()
    page.evaluate(FLAG_AND_PRESS, ["[data-flag-dialog]", "2"])
    expect_item(page, station.items[1].pk)
    expect_saved(page)
    assert [(d.item_id, d.kind) for d in Decision.objects.all()] == [(item, "flag")]


def test_flag_with_a_reason_and_a_note_by_keyboard(enter: Callable[..., Page]):
    station = station_with(4)
    page = enter(station, station.reviewer())
    items = [item.pk for item in station.items]
    item_of(page)
    page.keyboard.press("f")
    page.keyboard.press("3")
    expect(page.get_by_label("duplicate")).to_be_checked()
    page.keyboard.press("Enter")
    expect_item(page, items[1])
    page.keyboard.press("f")
    page.keyboard.press("4")
    page.keyboard.type("two parts", delay=80)  # The first letter begins the note.
    page.keyboard.press("Control+Enter")
    expect_item(page, items[2])
    page.keyboard.press("f")
    expect(page.locator("[data-flag-reason]:checked")).to_have_count(0)
    page.keyboard.press("Enter")
    expect_item(page, items[3])
    assert recorded(page) == [
        (items[0], "flag", "duplicate", ""),
        (items[1], "flag", "other", "two parts"),
        (items[2], "flag", "", ""),
    ]


@pytest.fixture
def open_queue(browser: Browser, live_server: Any) -> Any:
    """Return a function that opens the page of the queue as a user."""
    contexts = []

    def open_page(station: Any, user: Any, **options: Any) -> Page:
        client = Client()
        client.force_login(user)
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        cookies = {settings.SESSION_COOKIE_NAME: session, settings.LANGUAGE_COOKIE_NAME: "en"}
        context.add_cookies([{"name": k, "value": v, "url": live_server.url} for k, v in cookies.items()])
        page = context.new_page()
        page.goto(live_server.url + reverse("review-queue", args=[station.dataset.slug]))
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_admin_answers_sends_sets_aside_and_returns_images(open_queue: Callable[..., Page]):
    station = station_with(5)
    user, expert, admin = station.reviewer(), station.reviewer(), station.reviewer("admin")
    for leased in station.next(user, 5):
        station.answer(user, leased, "skip", reason="expert", note="see the left edge")
    page = open_queue(station, admin, viewport={"width": 390, "height": 844})
    expect(page.locator(".unresolved__card")).to_have_count(5)
    assert violations_of(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # Answer two images.
    for number in (0, 1):
        page.locator("[data-select]").nth(number).check()
    page.get_by_label("Label", exact=True).select_option(label=station.labels[2].name)
    page.get_by_role("button", name="Answer").click()
    page.locator("#confirm-dialog").get_by_role("button").last.click()
    expect(page.get_by_text("2 images were answered")).to_be_visible()
    assert ConfirmedLabel.objects.filter(label=station.labels[2]).count() == 2
    # Send one image, and set one aside by the button of its card.
    page.locator("[data-select]").first.check()
    page.get_by_label("Reviewer", exact=True).select_option(label=expert.username)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("1 image was sent")).to_be_visible()
    assert QueueItem.objects.get(assigned_to=expert).state == "waiting"
    page.locator(".unresolved__card").first.get_by_role("button", name="Set aside").click()
    expect(page.get_by_text("1 image was set aside")).to_be_visible()
    # Return all images that were set aside.
    page.get_by_role("link", name="Set aside (1)").click()
    page.get_by_label("Select all").check()
    page.get_by_role("button", name="Return to the queue").click()
    page.locator("#confirm-dialog").get_by_role("button").last.click()
    expect(page.get_by_text("1 image was returned to the start of the queue")).to_be_visible()
    assert not QueueItem.objects.filter(state="set_aside").exists()
    assert Decision.objects.filter(kind="undo", user=admin).count() == 1
