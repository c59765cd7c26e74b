"""The history of the review station in a browser: look at earlier answers and correct them."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from mekiki.review import services
from mekiki.review.models import ConfirmedLabel, Decision, Stream
from tests.e2e import screenshots
from tests.e2e.station_setup import (
    expect_item,
    expect_saved,
    image_with_files,
    item_of,
    press_and_wait,
    station_with,
)

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

DIALOG = "[data-history-dialog]"


def look_at(page: Page, decision: int) -> None:
    """Wait until the history shows this answer and the image counts as seen."""
    expect(page.locator(DIALOG)).to_have_attribute("data-seen", str(decision))
    page.wait_for_timeout(250)


@pytest.mark.parametrize(("language", "width", "height"), [("en", 1280, 800), ("ja", 390, 844)])
def test_earlier_answer_is_found_and_corrected_by_keyboard(
    enter: Callable[..., Page], language: str, width: int, height: int, request: pytest.FixtureRequest
):
    station = station_with(6)
    user = station.reviewer()
    page = enter(station, user, language, viewport={"width": width, "height": height})
    for key in ("Enter", "2", "3"):
        press_and_wait(page, key)
    expect_saved(page)
    waiting = item_of(page)
    page.keyboard.press("h")
    given = list(Decision.objects.order_by("-pk"))
    look_at(page, given[0].pk)
    page.keyboard.press("ArrowDown")
    look_at(page, given[1].pk)
    page.keyboard.press("ArrowDown")
    look_at(page, given[2].pk)
    expect(page.locator("[data-answer-shown]")).to_contain_text(station.labels[0].name)
    screenshots.save(page, f"review-history-{language}")
    assert Axe().run(page, context=DIALOG).response["violations"] == []
    page.keyboard.press("4")
    expect(page.locator("[data-answers-notice]")).to_contain_text(station.labels[3].name)
    # The corrected answer is now the newest.
    expect(page.locator("[data-answers] button").first).to_contain_text(station.labels[3].name)
    page.keyboard.press("Escape")
    expect_item(page, waiting)
    assert ConfirmedLabel.objects.get(image=given[2].image).label == station.labels[3]
    assert Decision.objects.get(supersedes=given[2]).milliseconds >= 200
    assert Decision.objects.count() == 4
    expect(page.locator("[data-history-list] button").first).to_contain_text(station.labels[3].name)
    # The strip by arrow keys: Enter opens the answer that has the focus.
    page.locator("[data-history-list] button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    look_at(page, given[0].pk)
    page.keyboard.press("F4")  # The dialog is open: no second one.
    page.keyboard.press("Escape")
    assert page.problems == []  # type: ignore[attr-defined]


def test_history_is_loaded_by_pages_and_a_key_needs_a_look(enter: Callable[..., Page]):
    station = station_with(3)
    user = station.reviewer()
    for _ in range(45):
        station.item(image=image_with_files(station))
    for _ in range(45):
        station.answer(user, station.next(user)[0])
    page = enter(station, user)
    item_of(page)
    page.keyboard.press("F4")
    rows = page.locator("[data-answers] button")
    expect(rows).to_have_count(20)
    newest = Decision.objects.order_by("-pk")[0]
    # A held key corrects nothing, nor does one for an image that was not looked at.
    page.evaluate(
        """() => document.querySelector("[data-answers] button").dispatchEvent(
          new KeyboardEvent("keydown", { key: "3", code: "Digit3", bubbles: true, repeat: true }))"""
    )
    page.locator("[data-answers-more]").click()
    expect(rows).to_have_count(40)
    rows.last.scroll_into_view_if_needed()
    expect(rows).to_have_count(45)
    expect(page.locator("[data-answers-more]")).to_be_hidden()
    assert Decision.objects.count() == 45
    look_at(page, newest.pk)
    page.evaluate(
        """() => {
          document.querySelectorAll("[data-answers] button")[1].click();
          document.querySelectorAll("[data-answers-labels] button")[2].click();
        }"""
    )
    expect(page.locator("[data-answers-notice]")).to_contain_text("has only just appeared")
    assert Decision.objects.count() == 45


def test_blind_answer_shows_no_prediction_and_no_name(enter: Callable[..., Page]):
    station = station_with(1)
    item = station.item(stream=Stream.AUDIT, image=image_with_files(station))
    user = station.reviewer()
    leased = {one.item.pk: one for one in station.next(user, 2)}
    station.answer(user, leased[item.pk], "correct", label=station.labels[1])
    page = enter(station, user)
    item_of(page)
    assert item.image.name not in page.content()
    page.keyboard.press("h")
    look_at(page, Decision.objects.get().pk)
    answer = page.locator("[data-answer]")
    expect(answer).to_contain_text("no prediction, so that your answer measures accuracy")
    expect(answer).to_contain_text(station.labels[1].name)
    assert item.image.name not in page.content()
    assert not answer.locator("[data-answer-now-box]").is_visible()


def test_correction_without_a_connection_records_nothing_and_is_sent_once_afterwards(
    enter: Callable[..., Page],
):
    station = station_with(4)
    user = station.reviewer()
    page = enter(station, user)
    press_and_wait(page, "Enter")
    expect_saved(page)
    first = Decision.objects.get()
    page.keyboard.press("h")
    look_at(page, first.pk)
    lost = []

    def lose_the_reply(route: object) -> None:
        if not lost:
            lost.append(route.fetch())  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    page.route("**/review/history/correct", lose_the_reply)
    page.keyboard.press("3")
    expect(page.locator("[data-answers-notice]")).to_contain_text("There is no connection")
    page.unroute("**/review/history/correct")
    page.keyboard.press("3")
    expect(page.locator("[data-answers-notice]")).to_contain_text("Corrected")
    assert Decision.objects.count() == 2
    # Another tab has corrected the answer in the meantime.
    newest = Decision.objects.get(supersedes=first)
    look_at(page, newest.pk)
    services.correct_own_answer(
        dataset=station.dataset,
        user=user,
        decision_id=newest.pk,
        label_id=station.labels[1].pk,
        client_key="6b7f1d0e-2f7b-4d0e-9d52-0c7a6d1f2a15",  # type: ignore[arg-type]
    )
    page.keyboard.press("4")
    expect(page.locator("[data-answers-notice]")).to_contain_text("in the meantime")
    look_at(page, Decision.objects.get(supersedes=newest).pk)
    assert Decision.objects.count() == 3
    page.context.set_offline(True)
    page.keyboard.press("Escape")
    page.keyboard.press("F4")
    expect(page.locator("[data-answers-notice]")).to_contain_text("could not be loaded")


def test_skip_that_is_corrected_leaves_the_images_to_come(enter: Callable[..., Page]):
    station = station_with(3)
    user = station.reviewer()
    page = enter(station, user)
    first = item_of(page)
    page.keyboard.press("s")
    press_and_wait(page, "s")
    expect_saved(page)
    today = int(page.locator("[data-today]").inner_text())
    page.keyboard.press("h")
    look_at(page, Decision.objects.get().pk)
    page.keyboard.press("2")
    expect(page.locator("[data-answers-notice]")).to_contain_text("Corrected")
    page.keyboard.press("Escape")
    expect(page.locator("[data-today]")).to_have_text(str(today + 1))
    assert ConfirmedLabel.objects.get().label == station.labels[1]
    assert station.items[0].pk == first
    # Undo takes the correction back, and the image is asked again.
    page.wait_for_timeout(300)
    page.keyboard.press("z")
    expect_item(page, first)
    assert not ConfirmedLabel.objects.exists()
