"""An admin starts a certificate, a reviewer answers its audit blind, and the admin accepts the result."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from mekiki.datasets.models import Image
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates import (
    draw_next,
    mark_accepted,
    record_check,
    set_machine_labels,
)
from mekiki.review.models import Decision, Stream
from tests.e2e.station_setup import image_with_files, item_of
from tests.e2e.test_pages import check_page, log_in, open_page
from tests.quality_setup import CertifiedPool

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
WORDS = {
    "en": (
        "Freeze and start the audit",
        "the certificate states nothing yet",
        "Accept: set the labels",
        "labels being set",
    ),
    "ja": ("凍結して監査を開始", "監査中のため", "承認してラベルを設定", "ラベルを設定中"),
}


class FilePool(CertifiedPool):
    """A pool whose images can be loaded by a browser."""

    def make_image(self) -> Image:
        """Create an image with its files."""
        return image_with_files(self)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_certificate_from_the_form_to_the_accepted_labels(
    browser: Browser, live_server: Any, language: str
) -> None:
    start, running, accept, accepting = WORDS[language]
    world = FilePool(started=False)
    base = f"{live_server.url}/d/{world.dataset.slug}/"
    with open_page(browser, language) as page:
        log_in(page, live_server, world.admin, language)
        for name, address in (("quality", "quality/"), ("certificate-new", "quality/certificates/new/")):
            assert check_page(page, base + address, name, language) == []
        page.locator("[name=alpha]").fill("50")
        page.locator("[name=limit]").fill("12")
        page.get_by_role("button", name=start).press("Enter")
        page.wait_for_url("**/quality/certificates/1/")
        world.certificate = Certificate.objects.get()
        world.freeze()
        draw_next(certificate=world.certificate, state=world.state)
        # A reviewer answers the first image of the audit by its key, without a prediction.
        with open_page(browser, language) as station:
            log_in(station, live_server, world.people[0], language)
            station.goto(base + "review/")
            item_of(station)
            station.wait_for_timeout(300)
            station.keyboard.press("1")
            expect(station.locator("[data-sync]")).to_have_attribute("data-state", "saved")
        decision = Decision.objects.get()
        assert decision.shown["stream"] == Stream.CERTIFY and decision.shown["blind"]
        assert decision.label_id == world.labels[0].pk
        record_check(certificate=world.certificate, figures=world.state.figures)
        assert check_page(page, base + "quality/certificates/1/", "certificate-audit", language) == []
        expect(page.locator("main")).to_contain_text(running)
        world.answer_audits()
        world.end()
        assert check_page(page, base + "quality/certificates/1/", "certificate-passed", language) == []
        page.get_by_role("button", name=accept).click()
        page.locator("#confirm-dialog [value=yes]").click()
        expect(page.locator(".page-header")).to_contain_text(accepting)
        world.certificate.refresh_from_db()
        assert world.certificate.state == Certificate.State.ACCEPTING
        n = set_machine_labels(certificate=world.certificate, first=1, last=100)
        mark_accepted(certificate=world.certificate, accepted=n)
        assert check_page(page, base + "quality/certificates/1/", "certificate-accepted", language) == []
        assert check_page(page, base, "overview-certified", language) == []
