"""The gallery by keyboard: facets, arrow keys, neighbours in the filter, and selection with Shift."""

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from mekiki.datasets.models import Image
from mekiki.review.models import QueueItem, Stream
from tests.e2e.test_pages import create_full_dataset, log_in, open_page, save_screenshot

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_facets_keys_and_selection(browser: Browser, live_server: Any) -> None:
    with open_page(browser, "en") as page:
        use_gallery(page, live_server)


def swipe(page: Page, across: int) -> None:
    """Send the events of a finger that moves over the picture."""
    page.evaluate(
        """across => {
            const picture = document.querySelector("[data-large-image]");
            const send = (kind, x) => {
                const touch = new Touch({ identifier: 1, target: picture, clientX: x, clientY: 300 });
                const touches = kind === "touchstart" ? [touch] : [];
                const options = { touches, changedTouches: [touch], bubbles: true, cancelable: true };
                picture.dispatchEvent(new TouchEvent(kind, options));
            };
            send("touchstart", 200);
            send("touchend", 200 + across);
        }""",
        across,
    )


def use_gallery(page: Page, live_server: Any) -> None:
    admin, _dataset = create_full_dataset()
    log_in(page, live_server, admin, "en")
    page.goto(f"{live_server.url}/d/line-3/images/")
    # The facets are loaded after the page. A value narrows the page down.
    page.get_by_role("link", name=re.compile("not confirmed\\s+14")).press("Enter")
    expect(page).to_have_url(re.compile("confirmed=none"))
    expect(
        page.get_by_role("link", name=re.compile("not confirmed , chosen|not confirmed, chosen"))
    ).to_be_visible()
    images = page.locator(".gallery__item")
    expect(images).to_have_count(14)
    # The arrow keys move between the images.
    images.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    second = images.nth(1).get_attribute("href")
    assert page.evaluate("document.activeElement.getAttribute('href')") == second
    # Enter shows the image in large, with its neighbours in the filter.
    page.keyboard.press("Enter")
    dialog = page.locator("dialog[data-large]")
    expect(dialog.get_by_text("2 of 14")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_text("3 of 14")).to_be_visible()
    dialog.get_by_role("link", name="Next").click()
    expect(dialog.get_by_text("4 of 14")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(dialog.get_by_text("3 of 14")).to_be_visible()
    assert Axe().run(page, options={"preload": False}).response["violations"] == []
    save_screenshot(page, "gallery-large")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(images.nth(2)).to_be_focused()
    # The Back button closes it too. On a phone, a swipe shows the next image.
    images.nth(0).click()
    expect(dialog.get_by_text("1 of 14")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    swipe(page, -120)
    expect(dialog.get_by_text("2 of 14")).to_be_visible()
    swipe(page, 120)
    expect(dialog.get_by_text("1 of 14")).to_be_visible()
    save_screenshot(page, "gallery-large-phone")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.go_back()
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(re.compile(r"confirmed=none$"))
    # The page of the image has the same neighbours.
    images.nth(1).press("Enter")
    dialog.get_by_role("link", name="Open the page of this image").click()
    expect(page.get_by_text("2 of 14")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("3 of 14")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("2 of 14")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/images/\?confirmed=none$"))
    # An image of another page: Escape opens the page that begins with it.
    key = Image.objects.order_by("pk").values_list("pk", flat=True)[20]
    page.goto(f"{live_server.url}/d/line-3/images/?before={key}")
    expect(images).to_have_count(3)
    images.last.press("Enter")
    expect(dialog.get_by_text("3 of 24")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_text("4 of 24")).to_be_visible()
    page.keyboard.press("Escape")
    expect(images).to_have_count(21)
    expect(images.first).to_be_focused()
    page.goto(f"{live_server.url}/d/line-3/images/?confirmed=none")
    # A row of images is selected with Shift.
    page.get_by_role("link", name="Select images", exact=True).click()
    boxes = page.locator("[data-select]")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    assert boxes.evaluate_all("all => all.filter(box => box.checked).length") == 4
    page.get_by_role("button", name="Send to review").click()
    expect(page.get_by_text(re.compile(r"images? (?:is|are) put first in the queue"))).to_be_visible()
    page.get_by_role("button", name="Send to review").click()
    expect(page.get_by_text(re.compile(r"images? waits? first in the queue now"))).to_be_visible()
    assert QueueItem.objects.filter(stream=Stream.RECHECK).exists()
