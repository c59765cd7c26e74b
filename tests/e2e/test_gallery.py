"""The gallery by keyboard: facets, arrow keys, neighbours in the filter, and selection with Shift."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from mekiki.review.models import QueueItem, Stream
from tests.e2e.test_pages import create_full_dataset, log_in, open_page

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_facets_keys_and_selection(browser: Browser, live_server: Any) -> None:
    with open_page(browser, "en") as page:
        use_gallery(page, live_server)


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
    page.keyboard.press("Enter")
    expect(page.get_by_text("2 of 14")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("3 of 14")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("2 of 14")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile(r"/images/\?confirmed=none$"))
    # A row of images is selected with Shift.
    page.get_by_role("link", name="Select images", exact=True).click()
    boxes = page.locator("[data-select]")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    assert boxes.evaluate_all("all => all.filter(box => box.checked).length") == 4
    page.get_by_role("button", name="Send to review").click()
    expect(page.get_by_text(re.compile(r"images? waits? first in the queue now"))).to_be_visible()
    assert QueueItem.objects.filter(stream=Stream.RECHECK).exists()
