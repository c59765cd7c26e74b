"""The site's time zone, the suggested address, the next runs and groups of events, in a real browser."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect

from mekiki.accounts import site
from mekiki.audit.models import Event
from tests.e2e import screenshots
from tests.factories import PASSWORD, DatasetFactory, ImageFactory, LabelFactory, UserFactory
from tests.roles import made_at

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_workflow_of_an_admin_in_japan(browser: Browser, live_server: Any) -> None:
    admin = UserFactory(username="aiko", is_superuser=True, may_create_datasets=True, language="ja")
    dataset = DatasetFactory(admin=admin, slug="line-3", audit_fraction=0.0)
    label, image = LabelFactory(dataset=dataset, name="打痕"), ImageFactory(dataset=dataset, stored=True)
    for n in range(60):
        made_at(
            Event,
            timezone.now() - timedelta(minutes=n),
            "at",
            kind="decision.recorded",
            actor_id=admin.pk,
            actor_name="aiko",
            dataset_id=dataset.pk,
            data={"kind": "correct", "image": image.sha256, "label": label.pk},
        )
    context = browser.new_context(
        timezone_id="Asia/Tokyo", locale="ja-JP", viewport={"width": 390, "height": 844}
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{live_server.url}/accounts/login/")
    page.fill("[name=username]", "ＡＩＫＯ")
    page.fill("[name=password]", PASSWORD)
    page.click("form.card button")
    expect(page.locator("main")).to_contain_text("Asia/Tokyo")
    assert site.zone_name() == "Asia/Tokyo"

    page.goto(f"{live_server.url}/datasets/new/")
    page.fill("[name=name]", "傷の検査")
    expect(page.locator("[name=slug]")).to_have_value("kizu-no-kensa")
    screenshots.save(page, "people-new-dataset", full_page=True)
    page.click("details:has([name=slug]) summary")
    page.fill("[name=slug]", "mine")
    page.fill("[name=name]", "別の検査")
    page.wait_for_timeout(600)
    expect(page.locator("[name=slug]")).to_have_value("mine")

    page.goto(f"{live_server.url}/d/line-3/models/")
    page.select_option("[name=mode]", "daily")
    page.fill("[name=at]", "04:15")
    page.locator("[name=at]").blur()
    expect(page.locator("#next-runs time")).to_have_count(3)
    expect(page.locator("#next-runs")).to_contain_text("04:15 JST")
    screenshots.save(page.locator("#schedule"), "people-schedule")

    page.goto(f"{live_server.url}/d/line-3/activity/")
    page.click("summary:has-text('60')")
    expect(page.locator("details table tbody tr").first).to_contain_text("打痕")
    expect(page.locator("details table tbody tr")).to_have_count(50)
    screenshots.save(page, "people-activity", full_page=True)
    assert not problems
    context.close()
