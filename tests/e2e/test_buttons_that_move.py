"""A click must not reach a control that replaced the visible one: reloaded pages and double clicks."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from mekiki.jobs.models import Job, State
from mekiki.review.models import QueueItem
from tests.e2e.station_setup import station_with
from tests.factories import JobFactory
from tests.review_setup import Station

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
]


def is_same_page(page: Page) -> bool:
    return bool(page.evaluate("() => window.stillTheSamePage === true"))


def end_job_on_page(page: Page, station: Station, url: str) -> None:
    job = JobFactory(dataset=station.dataset, running=True)
    page.goto(url)
    page.evaluate("() => { window.stillTheSamePage = true }")
    expect(page.locator("[data-job]")).to_be_visible()
    page.mouse.move(10, 10)
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, finished_at=timezone.now())


def test_page_is_not_reloaded_while_the_pointer_moves(enter: Callable[..., Page], live_server: Any):
    station = station_with(1)
    page = enter(station, station.reviewer("admin"))
    end_job_on_page(page, station, f"{live_server.url}/d/{station.dataset.slug}/models/")
    for step in range(20):
        page.mouse.move(20 + step, 20)
        page.wait_for_timeout(200)
    assert is_same_page(page)
    page.wait_for_function("() => window.stillTheSamePage === undefined")
    expect(page.locator("[data-job]")).to_have_count(0)


def test_reload_does_not_replace_a_page_that_the_user_waits_for(enter: Callable[..., Page], live_server: Any):
    station = station_with(1)
    page = enter(station, station.reviewer("admin"))
    end_job_on_page(page, station, f"{live_server.url}/d/{station.dataset.slug}/models/")
    address = f"{live_server.url}/d/{station.dataset.slug}/labels/"

    def answer_late(route: Route) -> None:
        # Longer than the poll that learns of the end and the rest before a reload.
        page.wait_for_timeout(6000)
        route.continue_()

    page.route(address, answer_late)
    page.locator(f"nav a[href='/d/{station.dataset.slug}/labels/']").first.click(no_wait_after=True)
    page.wait_for_url(address)


def test_changed_form_is_kept_when_a_job_ends(enter: Callable[..., Page], live_server: Any):
    station = station_with(1)
    page = enter(station, station.reviewer("admin"))
    job = JobFactory(dataset=station.dataset, running=True)
    page.goto(f"{live_server.url}/d/{station.dataset.slug}/labels/")
    page.evaluate("() => { window.stillTheSamePage = true }")
    field = page.locator('[name$="-prompts"]').first
    field.fill("a sentence that took long to write")
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, finished_at=timezone.now())
    page.wait_for_timeout(5000)
    assert is_same_page(page)
    assert field.input_value() == "a sentence that took long to write"


def test_double_click_sets_one_image_aside(enter: Callable[..., Page], live_server: Any):
    station = station_with(3)
    user = station.reviewer("admin")
    for leased in station.next(user, 3):
        station.answer(user, leased, "flag", note="blurred")
    page = enter(station, user)
    page.goto(f"{live_server.url}/d/{station.dataset.slug}/review/queue/")
    cards = page.locator(".unresolved__card")
    expect(cards).to_have_count(3)
    cards.first.get_by_role("button", name="Set aside").dblclick()
    expect(cards).to_have_count(2)
    page.wait_for_timeout(500)
    assert QueueItem.objects.filter(state="set_aside").count() == 1
