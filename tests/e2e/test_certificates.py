"""An admin plans and starts a certificate, two reviewers answer its audit blind, the admin accepts it."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from mekiki.datasets.models import Image
from mekiki.quality.models import Certificate, CertificatePlan
from mekiki.quality.services.certificates import (
    Forecast,
    PlannedPool,
    draw_next,
    mark_accepted,
    record_check,
    record_forecasts,
    set_machine_labels,
)
from mekiki.review.models import Decision, Stream
from tests.e2e.station_setup import image_with_files, item_of
from tests.e2e.test_pages import check_page, log_in, open_page
from tests.quality_setup import CertifiedPool
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
WORDS = {
    "en": {
        "to_plan": "Next: plan",
        "promise": "a forecast and no promise",
        "to_start": "Next: check and start",
        "back": "Back: plan",
        "start": "Freeze and start the audit",
        "running": "the certificate states nothing yet",
        "accept": "Accept: set the labels",
        "accepting": "labels being set",
        "revoke": "Revoke",
        "revoked": "revoked",
    },
    "ja": {
        "to_plan": "次へ: 計画",
        "promise": "予測であり、約束ではありません",
        "to_start": "次へ: 確認と開始",
        "back": "戻る: 計画",
        "start": "凍結して監査を開始",
        "running": "監査中のため",
        "accept": "承認してラベルを設定",
        "accepting": "ラベルを設定中",
        "revoke": "取り消す",
        "revoked": "取り消し",
    },
}


class FilePool(CertifiedPool):
    """A pool whose images can be loaded by a browser."""

    def make_image(self) -> Image:
        """Create an image with its files."""
        return image_with_files(self)

    def check(self) -> None:
        """Do what the job of the certificate does after an answer."""
        state = self.state
        record_check(certificate=self.certificate, figures=state.figures)
        draw_next(certificate=self.certificate, state=state)

    def compute_plan(self) -> CertificatePlan:
        """Record the forecast of the newest plan as the worker does."""
        plan = CertificatePlan.objects.filter(dataset=self.dataset).latest("number")
        levels = [0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1.0]
        shares = {0.01: 0.0, 0.02: 0.35, 0.05: 0.7, plan.alpha: 0.9}
        forecasts = [
            Forecast(
                alpha=alpha,
                limit=limit,
                levels=levels,
                images=[int(40 * share * part) for part in (0.8 * limit / 40, limit / 40, 1.0)],
                audits=[limit // 2, limit // 2 + 2, limit],
                answers=40 - 30 * share * limit / 40,
                granted=share,
                minutes=limit / 15,
            )
            for alpha, share in shares.items()
            for limit in (12, 20, 30, 40)
        ]
        pool = PlannedPool(40, 40, 0, 0, 0, 45, 43, 1.4, 4.0, 0)
        return record_forecasts(plan=plan, head=self.head, pool=pool, forecasts=forecasts)


def judge(page: Page, base: str, count: int) -> None:
    """Answer images in the review station by the key of the first label."""
    before = Decision.objects.count()
    page.goto(base + "review/")
    for number in range(1, count + 1):
        item_of(page)
        page.wait_for_timeout(300)  # an answer is refused before the image could be seen
        page.keyboard.press("1")
        expect(page.locator("[data-sync]")).to_have_attribute("data-state", "saved")
        until(lambda n=before + number: Decision.objects.count() >= n)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_certificate_from_the_plan_to_the_accepted_labels(
    browser: Browser, live_server: Any, language: str
) -> None:
    words = WORDS[language]
    world = FilePool(started=False)
    base = f"{live_server.url}/d/{world.dataset.slug}/"
    plan_url = base + "quality/certificates/plans/1/"
    with open_page(browser, language) as page:
        log_in(page, live_server, world.admin, language)
        for name, address in (
            ("quality", "quality/"),
            ("certificate-1-promise", "quality/certificates/new/"),
            ("certificate-explained", "quality/certificates/explained/"),
        ):
            assert check_page(page, base + address, name, language) == []
        # Step 1, by keyboard.
        page.goto(base + "quality/certificates/new/")
        page.locator("[name=alpha]").fill("50")
        page.locator("[name=note]").fill("lot 7")
        page.get_by_role("button", name=words["to_plan"]).press("Enter")
        page.wait_for_url("**/plans/1/")
        expect(page.locator("main")).to_contain_text(words["promise"])
        assert check_page(page, plan_url, "certificate-2-computing", language) == []
        world.compute_plan()
        # Step 2: the forecast, and a number that is kept on the way back.
        assert check_page(page, plan_url, "certificate-2-plan", language) == []
        page.locator("[name=limit]").fill("12")
        page.locator("[name=first]").select_option("1.0")
        page.get_by_role("button", name=words["to_start"]).press("Enter")
        page.wait_for_url("**/start/?limit=12&first=1.0")
        assert check_page(page, page.url, "certificate-3-start", language) == []
        page.get_by_role("link", name=words["back"]).click()
        expect(page.locator("[name=limit]")).to_have_value("12")
        page.get_by_role("button", name=words["to_start"]).click()
        assert not Certificate.objects.exists()
        page.get_by_role("button", name=words["start"]).press("Enter")
        page.wait_for_url("**/quality/certificates/1/")
        world.certificate = Certificate.objects.get()
        world.freeze()
        world.check()
        page.goto(base + "quality/certificates/1/")
        expect(page.locator("main")).to_contain_text(words["running"])
        details = page.locator("#audit-live details > summary")
        # Two reviewers answer blind, by key. The open page follows, and keeps its opened table.
        details.press("Enter")
        for place in (0, 1):
            with open_page(browser, language) as station:
                log_in(station, live_server, world.people[place], language)
                judge(station, base, 2 * place + 2)
            world.check()
        decision = Decision.objects.latest("pk")
        assert decision.shown["stream"] == Stream.CERTIFY and decision.shown["blind"]
        name = world.people[0].get_username()
        expect(page.locator("#audit-live")).to_contain_text(f"{name}: ", timeout=20_000)
        expect(page.locator("#audit-live details")).to_have_attribute("open", "")
        expect(details).to_be_focused()
        assert check_page(page, base + "quality/certificates/1/", "certificate-4-audit", language) == []
        world.answer_audits()
        world.check()
        world.end()
        expect(page.get_by_role("button", name=words["accept"])).to_be_visible(timeout=20_000)
        assert check_page(page, base + "quality/certificates/1/", "certificate-5-passed", language) == []
        page.get_by_role("button", name=words["accept"]).click()
        page.locator("#confirm-dialog [value=yes]").click()
        expect(page.locator(".page-header")).to_contain_text(words["accepting"])
        n = set_machine_labels(certificate=world.certificate, first=1, last=100)
        mark_accepted(certificate=world.certificate, accepted=n)
        assert check_page(page, base + "quality/certificates/1/", "certificate-6-accepted", language) == []
        assert check_page(page, base, "overview-certified", language) == []
        page.goto(base + "quality/certificates/1/")
        page.get_by_role("button", name=words["revoke"]).click()
        page.locator("#confirm-dialog [value=yes]").click()
        expect(page.locator(".page-header")).to_contain_text(words["revoked"])
