"""Guidelines and reference images beside the image, in a real Chromium."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mekiki.labeling.services import update_label
from mekiki.learning.models import Prediction
from mekiki.review.models import Decision
from mekiki.review.services import add_reference_image
from tests.e2e.axe import violations_of
from tests.e2e.station_setup import expect_saved, image_with_files, item_of, press_and_wait, station_with
from tests.e2e.test_pages import save_screenshot
from tests.roles import set_fixed

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def station_with_guides(labels: int = 4) -> tuple[Any, Any]:
    """Create (station, reviewer): the first two labels have a guideline and reference images."""
    station = station_with(3, labels=labels, audit_fraction=0.1)
    admin = station.reviewer("admin")
    for number, label in enumerate(station.labels[:2]):
        update_label(label=label, user=admin, guideline=f"Guideline {number}\nLonger than 2 mm.")
        for accepted in (True, False):
            image = image_with_files(station)
            set_fixed(image, audit_key=0.9)
            add_reference_image(
                dataset=station.dataset,
                user=admin,
                image_id=image.pk,
                label_id=label.pk,
                accepted=accepted,
                note=f"note {number}",
            )
    return station, station.reviewer()


def widths(page: Page) -> set[int]:
    """Return the widths on the screen of all images in the dialog. All have 200 pixels in the file."""
    boxes = [image.bounding_box() for image in page.locator("[data-guide-dialog] img").all()]
    return {round(box["width"]) for box in boxes if box}


@pytest.mark.parametrize(
    ("language", "accepted", "begin"),
    [("en", "accepted", "Begin the review"), ("ja", "該当", "レビューを始める")],
)
def test_first_visit_begins_with_the_guidelines_and_a_key_opens_them_again(
    enter: Callable[..., Page], language: str, accepted: str, begin: str
) -> None:
    station, user = station_with_guides()
    page = enter(station, user, language, viewport={"width": 1280, "height": 800})
    dialog = page.locator("[data-guide-dialog]")
    expect(dialog).to_contain_text("Guideline 0")
    expect(dialog).to_contain_text(begin)
    page.keyboard.press("1")  # in the dialog the key chooses a label to read about, not an answer
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert not Decision.objects.exists()

    item_of(page)
    page.keyboard.press("g")
    panel = page.locator("[data-guide-panel]")
    expect(panel).to_contain_text("Guideline 0")  # of the predicted label
    expect(panel.locator("figure")).to_have_count(2)
    expect(panel).to_contain_text(accepted)
    expect(page.locator("[data-guide-own] img")).to_be_visible()
    assert len(widths(page)) == 1, "the images have different scales"
    before = widths(page)
    page.keyboard.press("+")
    assert min(widths(page)) > max(before)
    assert violations_of(page) == []
    save_screenshot(page, f"guide-{language}")
    page.keyboard.press("2")
    expect(panel).to_contain_text("Guideline 1")
    page.keyboard.press("ArrowRight")
    expect(panel).not_to_contain_text("Guideline 1")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert not Decision.objects.exists()
    page.wait_for_timeout(300)  # The image is accepted as seen again.
    press_and_wait(page, "2")
    expect_saved(page)
    assert Decision.objects.get().label == station.labels[1]
    page.reload()
    item_of(page)
    expect(dialog).to_be_hidden()  # it is no longer the first visit
    assert page.problems == []  # type: ignore[attr-defined]


def test_guide_opens_by_touch_on_a_phone_and_with_a_finder_by_f2(enter: Callable[..., Page]) -> None:
    station, user = station_with_guides(labels=12)
    page = enter(station, user, viewport={"width": 390, "height": 844}, has_touch=True)
    dialog = page.locator("[data-guide-dialog]")
    dialog.get_by_role("button", name="Begin the review").tap()
    expect(dialog).to_be_hidden()
    item_of(page)
    page.locator("[data-act=guide]").tap()
    expect(dialog).to_contain_text("Guideline 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    save_screenshot(page, "guide-phone")
    dialog.get_by_role("button", name="Back to the image").tap()
    expect(dialog).to_be_hidden()
    page.keyboard.press("F2")
    expect(dialog).to_be_visible()


def test_guide_of_a_blind_image_does_not_begin_at_the_predicted_label(enter: Callable[..., Page]) -> None:
    station, user = station_with_guides()
    Prediction.objects.update(label=station.labels[1])
    blind = station.item(stream="audit", image=image_with_files(station))
    type(blind).objects.filter(pk=blind.pk).update(position=0)
    page = enter(station, user)
    page.keyboard.press("Escape")
    assert item_of(page) == blind.pk
    page.keyboard.press("g")
    expect(page.locator("[data-guide-panel]")).to_contain_text("Guideline 0")
