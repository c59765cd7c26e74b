"""The page of an image in a browser: correction by keyboard only, in both languages, on a phone."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from mekiki.review.models import ConfirmedLabel
from tests.e2e.axe import violations_of
from tests.e2e.test_pages import save_screenshot
from tests.factories import ImageFactory
from tests.review_setup import Station

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
]


def make_judged_image() -> tuple[Station, Any, Any]:
    station = Station()
    images = [ImageFactory(dataset=station.dataset, stored=True) for _ in range(3)]
    for image in images:
        station.item(image=image)
    user = station.reviewer()
    for _ in images:
        station.answer(user, station.next(user)[0], "correct", label=station.labels[0])
    return station, images[1], user


def tab_to(page: Page, text: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if text in page.evaluate("document.activeElement.textContent"):
            return
    raise AssertionError(f"the keyboard does not reach {text}")


@pytest.mark.parametrize(
    ("language", "form_title", "yes", "message", "undo"),
    [
        ("en", "Correct the label", "Change the label", "The confirmed label is", "Undo your correction"),
        ("ja", "ラベルを訂正", "ラベルを変更", "に変更しました。", "自分の訂正を取り消す"),
    ],
)
def test_label_is_corrected_by_keyboard_on_a_phone(
    enter: Callable[..., Page],
    live_server: Any,
    language: str,
    form_title: str,
    yes: str,
    message: str,
    undo: str,
) -> None:
    station, image, user = make_judged_image()
    page = enter(station, user, language, viewport={"width": 390, "height": 844})
    page.goto(f"{live_server.url}{reverse('image', args=[station.dataset.slug, image.sha256])}?sort=sure")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tab_to(page, form_title)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#correct-label")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#correct-label")).to_have_value(str(station.labels[1].pk))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    violations = violations_of(page)
    assert violations == [], violations
    save_screenshot(page, f"image-correct-{language}")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog = page.locator("#confirm-dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name=yes).press("Enter")
    expect(page.locator("body")).to_contain_text(message)
    assert ConfirmedLabel.objects.get(image=image).label == station.labels[1]
    assert page.url.endswith("?sort=sure")
    page.get_by_role("button", name=undo).press("Enter")
    page.wait_for_load_state()
    expect(page.get_by_role("button", name=undo)).to_have_count(0)
    assert ConfirmedLabel.objects.get(image=image).label == station.labels[0]
    assert page.problems == []  # type: ignore[attr-defined]
