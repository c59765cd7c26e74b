"""The page of reviewers and the requalification test, in both languages, by keyboard, wide and on a phone."""

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from mekiki.accounts.models import Membership
from mekiki.labeling.services import update_label
from mekiki.review.models import Assignment, Requalification, Stream
from mekiki.review.requalification import next_question
from mekiki.review.services import save_preferences
from tests.e2e.station_setup import image_with_files, station_with
from tests.e2e.test_pages import check_page
from tests.factories import ImageFactory, PredictionFactory
from tests.review.test_reviewer_measures import decide, gold_item
from tests.review_setup import Station

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def station_with_three_reviewers() -> tuple[Station, Any, list[Any]]:
    """Create a station where the first reviewer has enough answers for most figures and must requalify."""
    station = station_with(3, gold_bound=0.9, requalification_questions=2)
    dataset, labels = station.dataset, station.labels
    admin, people = station.reviewer("admin"), [station.reviewer() for _ in range(3)]
    update_label(label=labels[0], user=admin, guideline="A line that is longer than 2 mm.")
    for number in range(30):
        # The first two are asked in the test, and the wrong answers are shown.
        has_file = number < 2 or number % 3 == 0
        image = image_with_files(station) if has_file else ImageFactory(dataset=dataset)
        item = gold_item(station, labels[0], image=image, by=admin)
        if number >= 2:
            decide(station, people[0], labels[number % 3 == 0], item, blind=True, milliseconds=900 + number)
        item = station.item(image=ImageFactory(dataset=dataset))
        prediction = {"label": labels[0].pk, "confidence": 0.6}
        decide(station, people[0], labels[number % 7 == 0], item, **prediction)
        decide(station, people[1], labels[0], item, milliseconds=1500, **prediction)
        blind = ImageFactory(dataset=dataset)
        PredictionFactory(head=station.head, image=blind, label=labels[0], confidence=0.6)
        decide(station, people[0], labels[number % 5 == 0], station.item(Stream.AUDIT, blind), blind=True)
    station.dataset.queue_items.filter(image__name__startswith="part").exclude(
        pk__in=[item.pk for item in station.items]
    ).update(state="done")
    Membership.objects.filter(user=people[0]).update(daily_goal=400)
    return station, admin, people


@pytest.mark.parametrize(
    ("language", "own", "begin", "passed"),
    [
        ("en", "Your answers", "I have read the guidelines: begin the test", "Passed, thank you"),
        ("ja", "あなたの判定", "判定基準を読みました。テストを始めます", "合格です"),
    ],
)
def test_reviewers_see_their_page_and_requalify(
    enter: Callable[..., Page], live_server: Any, language: str, own: str, begin: str, passed: str
) -> None:
    station, admin, people = station_with_three_reviewers()
    slug = station.dataset.slug

    def url(name: str, *args: Any) -> str:
        return live_server.url + reverse(name, args=[slug, *args])

    # The admin reads the list and one reviewer, and assigns a part by keyboard.
    page = enter(station, admin, language, viewport={"width": 1280, "height": 860})
    problems = check_page(page, url("reviewers"), "reviewers", language)
    for person in people:
        expect(page.get_by_role("link", name=person.username, exact=True)).to_be_visible()
    page.locator("#assign-label").focus()
    page.keyboard.type(station.labels[1].name)
    page.locator("#assign-strict").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#assignments tbody tr")).to_have_count(1)
    assert Assignment.objects.get().label == station.labels[1] and Assignment.objects.get().strict
    problems += check_page(page, url("reviewer", people[0].pk), "reviewer", language)

    # The reviewer is led to the test, and sees only the own page.
    page = enter(station, people[0], language, viewport={"width": 390, "height": 844}, has_touch=True)
    expect(page.get_by_role("button", name=begin)).to_be_visible()
    assert page.url == url("requalification")
    problems += check_page(page, url("requalification"), "requalification", language)
    problems += check_page(page, url("reviewers"), "reviewer-own", language)
    expect(page.get_by_role("heading", name=own, level=1)).to_be_visible()
    assert people[1].username not in page.content()
    assert page.goto(url("reviewer", people[1].pk)).status == 404  # type: ignore[union-attr]

    # The test, by keys: the standard keys, or those of the left hand.
    keys = {"en": "123456789", "ja": "qweasdzxc"}[language]
    save_preferences(user=people[0], layout={"en": "standard", "ja": "left"}[language])
    page.goto(url("requalification"))
    page.get_by_role("button", name=begin).click()
    for number in (1, 2):
        expect(page.locator(".question__count")).to_contain_text(str(number))
        if number == 1:
            problems += check_page(page, url("requalification"), "requalification-question", language)
        expect(page.locator("[data-question-form] button").first).to_be_enabled()
        question = next_question(Requalification.objects.get())
        assert question is not None
        page.keyboard.press(keys[question.label.position - 1])
    expect(page.get_by_role("heading", name=passed)).to_be_visible()
    page.goto(url("review"))
    expect(page.locator("[data-station]")).to_be_visible()
    assert problems == []
