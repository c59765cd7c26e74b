"""Nothing decided is lost: a tab that ends, an expired login, two tabs of one reviewer."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, expect

from mekiki.accounts.models import Session
from mekiki.review.models import ConfirmedLabel, Decision
from tests.e2e.station_setup import expect_saved, item_of, press_and_wait, station_with
from tests.e2e.test_review_session import log_in

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def wait_for_decisions(page: Page, number: int) -> list[tuple[Any, ...]]:
    for _ in range(200):
        if Decision.objects.count() >= number:
            break
        page.wait_for_timeout(50)
    return list(Decision.objects.order_by("pk").values_list("user", "item", "kind"))


def test_answers_of_a_tab_that_crashed_are_sent_by_the_next(enter: Callable[..., Page]):
    station = station_with(5)
    user = station.reviewer()
    page = enter(station, user)
    address = page.url
    items = [item_of(page)]
    page.route("**/review/answer", lambda route: route.abort())
    press_and_wait(page, "Enter")
    items.append(item_of(page))
    press_and_wait(page, "2")
    context = page.context
    # The process of the tab ends, without any last event.
    with contextlib.suppress(PlaywrightError):
        page.goto("chrome://crash", timeout=5_000)
    assert Decision.objects.count() == 0
    again = context.new_page()
    again.goto(address)
    rows = wait_for_decisions(again, 2)
    assert rows == [(user.pk, items[0], "confirm"), (user.pk, items[1], "correct")]
    expect_saved(again)
    assert item_of(again) not in items


def test_answer_after_the_login_expired_is_kept_until_the_next_login(enter: Callable[..., Page]):
    station = station_with(4)
    user = station.reviewer()
    page = enter(station, user)
    item = item_of(page)
    Session.objects.all().delete()
    press_and_wait(page, "Enter")
    expect(page.locator("[data-sync]")).to_have_attribute("data-state", "login")
    expect(page.locator("[data-sync-login]")).to_be_visible()
    assert Decision.objects.count() == 0
    log_in(page, user)
    page.reload()
    assert wait_for_decisions(page, 1) == [(user.pk, item, "confirm")]
    expect_saved(page)


def test_two_tabs_record_both_answers_and_one_label(enter: Callable[..., Page]):
    station = station_with(4)
    user = station.reviewer()
    one = enter(station, user)
    first = item_of(one)
    two = one.context.new_page()
    two.goto(one.url)
    assert item_of(two) == first
    two.wait_for_timeout(300)
    press_and_wait(two, "2")
    expect_saved(two)
    press_and_wait(one, "Enter")
    expect_saved(one)
    rows = Decision.objects.filter(item=first).order_by("pk").values_list("kind", "late")
    assert list(rows) == [("correct", False), ("confirm", True)]
    assert ConfirmedLabel.objects.get(image__queue_items=first).label == station.labels[1]
