"""Removing a label with answers on the labels page, and restoring it, in a real browser."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.review.models import ConfirmedLabel, Stream
from tests.e2e import screenshots
from tests.e2e.axe import violations_of
from tests.e2e.station_setup import station_with
from tests.factories import ConfirmedLabelFactory, EvaluationFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_archived_label_is_restored_after_confirmation(
    enter: Callable[..., Page], live_server: Any, language: str
) -> None:
    station = station_with(1, labels=3)
    scratch = station.labels[1]
    Label.objects.filter(pk=scratch.pk).update(name="scratch")
    for number in range(7):
        audit = number < 2
        ConfirmedLabelFactory(
            dataset=station.dataset,
            label=scratch,
            stream=Stream.AUDIT if audit else Stream.UNCERTAIN,
            in_training=not audit,
        )
    EvaluationFactory(head=station.head, n=5, correct=4, low=0.376, high=0.964)
    page = enter(station, station.reviewer("admin"), language, viewport={"width": 390, "height": 844})
    url = f"{live_server.url}/d/{station.dataset.slug}/labels/"
    page.goto(url)
    rows = page.locator("[data-label-rows] [data-label-row]:not([hidden])")
    for n in range(3):
        rows.nth(n).locator('[name$="-prompts"]').fill(f"prompt {n}")
    rows.nth(1).locator("[data-label-remove]").click()
    save = page.locator(".form__actions .button--primary")
    save.click()
    notice = page.locator("[data-confirm-changes]")
    expect(notice).to_contain_text("scratch")
    expect(notice).to_contain_text("7")
    assert active_labels(station.dataset).count() == 3
    assert not violations_of(page)
    screenshots.save(page, f"archiving-{language}", full_page=True)
    # Enter in a field saves like the first button, which asks again. It confirms nothing.
    rows.first.locator('[name$="-name"]').press("Enter")
    expect(notice).to_be_visible()
    assert active_labels(station.dataset).count() == 3
    page.locator("#confirm-changes").click()
    expect(page.locator(".messages .notice--good").first).to_be_visible()
    assert active_labels(station.dataset).count() == 2
    page.goto(f"{live_server.url}/d/{station.dataset.slug}/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    screenshots.save(page, f"archived-overview-{language}", full_page=True)
    expect(page.locator("main")).to_contain_text("37.6 %")
    assert "80.0 %" not in page.locator("main").text_content()
    page.goto(url)
    page.locator("#archived button").click()
    page.locator("dialog[open] [data-confirm-yes]").click()
    expect(page.locator(".messages .notice--good")).to_contain_text("7")
    assert active_labels(station.dataset).count() == 3
    assert ConfirmedLabel.objects.filter(label__archived_at__isnull=True).count() == 7
