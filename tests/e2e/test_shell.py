"""The scripts of the page shell in a real browser."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect

from mekiki.jobs import services
from mekiki.jobs.models import Job, Kind
from tests.factories import DatasetFactory, UserFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def dataset(page: Page, live_server: Any) -> Any:
    """Create a dataset whose admin is logged in on the page."""
    user = UserFactory()
    client = Client()
    client.force_login(user)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    page.set_extra_http_headers({"Accept-Language": "en"})
    return DatasetFactory(slug="line-1", admin=user)


@pytest.fixture
def job(dataset: Any) -> Job:
    """Create a job that a worker has claimed."""
    queued = services.enqueue(kind=Kind.ENCODE, dataset=dataset)
    claimed = services.claim(str(queued.pk))
    assert claimed is not None
    services.record_heartbeat(
        claimed, stage="computing embeddings", done=100, total=1000, rate=100.0, unit="images"
    )
    return claimed


def test_progress_is_updated_and_the_page_reloads_at_the_end(
    page: Page, live_server: Any, dataset: Any, job: Job
):
    page.goto(f"{live_server.url}/d/line-1/")
    job_row = page.locator(f'[data-job="{job.pk}"]')
    expect(job_row.locator("[data-job-detail]")).to_contain_text("10 %")
    services.record_heartbeat(job, done=640)
    expect(job_row.locator("[data-job-detail]")).to_contain_text("64 %")
    expect(job_row.locator("progress")).to_have_js_property("value", 64)
    expect(page.locator("[data-jobs-percent]")).to_have_text("64%")
    services.succeed(job)
    expect(job_row).to_have_count(0)


def test_job_that_starts_later_is_shown_in_the_bar(page: Page, live_server: Any, dataset: Any):
    page.goto(f"{live_server.url}/d/line-1/activity/")
    expect(page.locator(".bar__job")).to_be_hidden()
    services.enqueue(kind=Kind.PREDICT, dataset=dataset)
    expect(page.locator("[data-jobs-label]")).to_have_text("Predict by prompts")


def test_button_stops_a_job(page: Page, live_server: Any, dataset: Any, job: Job):
    page.goto(f"{live_server.url}/d/line-1/activity/")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".messages")).to_contain_text("The job stops at its next step.")
    job.refresh_from_db()
    assert job.cancel_requested


def test_appearance_changes_at_once_and_is_kept(page: Page, live_server: Any, dataset: Any):
    page.goto(f"{live_server.url}/")
    page.get_by_text("Language and appearance").locator("..").click()
    with page.expect_response("**/theme/"):
        page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert "0.195" in ground or "rgb(2" in ground, ground


def test_menus_close_by_escape_and_by_a_click_elsewhere(page: Page, live_server: Any, dataset: Any):
    page.goto(f"{live_server.url}/d/line-1/")
    menu = page.locator(".bar__dataset")
    summary = menu.locator("summary")
    summary.click()
    expect(menu).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(menu).not_to_have_attribute("open", "")
    expect(summary).to_be_focused()
    summary.click()
    page.locator("h1").click()
    expect(menu).not_to_have_attribute("open", "")


def test_first_tab_stop_skips_to_the_main_part(page: Page, live_server: Any, dataset: Any):
    page.goto(f"{live_server.url}/d/line-1/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    expect(page.locator(".skip-link")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_dangerous_action_needs_a_confirmation(page: Page, live_server: Any, dataset: Any, job: Job):
    page.goto(f"{live_server.url}/d/line-1/activity/")
    form = page.locator("form[data-job-cancel]")
    form.evaluate("form => { form.dataset.confirm = 'Stop it now?'; form.dataset.confirmYes = 'Stop it'; }")
    page.get_by_role("button", name="Stop").click()
    dialog = page.locator("#confirm-dialog")
    expect(dialog).to_contain_text("Stop it now?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    job.refresh_from_db()
    assert not job.cancel_requested
    page.get_by_role("button", name="Stop").click()
    dialog.get_by_role("button", name="Stop it").click()
    expect(page.locator(".messages")).to_contain_text("The job stops at its next step.")
    job.refresh_from_db()
    assert job.cancel_requested
