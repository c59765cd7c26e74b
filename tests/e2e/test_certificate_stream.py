"""An admin extends a certificate to later images, reads why it was suspended, and sends images to review."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from mekiki.jobs.models import Job, State
from mekiki.quality.models import Certificate, CertificateStream
from mekiki.quality.services.certificates import (
    StreamCandidate,
    accept,
    check_stream,
    label_stream,
    mark_accepted,
    request_plan,
    set_machine_labels,
)
from mekiki.review.models import QueueItem, Stream
from tests.e2e.station_setup import image_with_files
from tests.e2e.test_certificates import FilePool
from tests.e2e.test_pages import check_page, log_in, open_page
from tests.quality_setup import make_protocol

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
WORDS = {
    "en": (
        "Extend to later images",
        "too many wrong labels",
        "Show the images",
        "Send all to review",
        "Continue",
    ),
    "ja": (
        "後から取り込んだ画像に広げる",
        "誤ったラベルが多すぎました",
        "画像を表示",
        "すべてレビューに送る",
        "続ける",
    ),
}


def accepted_pool() -> FilePool:
    """Return a pool with files whose labels are set by machine."""
    world = FilePool()
    world.freeze()
    world.answer_audits()
    world.end()
    accept(certificate=world.certificate, user=world.admin)
    n = set_machine_labels(certificate=world.certificate, first=1, last=100)
    done = mark_accepted(certificate=world.certificate, accepted=n)
    assert done is not None
    world.certificate = done
    return world


@pytest.mark.parametrize("language", ["en", "ja"])
def test_certificate_is_extended_suspended_and_its_images_reviewed(
    browser: Browser, live_server: Any, language: str
) -> None:
    extend, reason, show, send, _go_on = WORDS[language]
    world = accepted_pool()
    address = f"{live_server.url}/d/{world.dataset.slug}/quality/certificates/1/"
    with open_page(browser, language) as page:
        log_in(page, live_server, world.admin, language)
        assert check_page(page, address, "certificate-extend", language) == []
        page.locator("[name=share]").fill("100")
        page.get_by_role("button", name=extend).click()
        page.wait_for_url("**/quality/certificates/1/")
        assert CertificateStream.objects.get().share == 1
        images = [image_with_files(world) for _ in range(40)]
        label_stream(
            certificate=world.certificate,
            candidates=[StreamCandidate(one.pk, one.sha256, world.labels[0].pk, 0.9, 0.0) for one in images],
        )
        assert check_page(page, address, "certificate-extended", language) == []
        while check_stream(certificate=world.certificate).state == Certificate.State.ACCEPTED:
            [leased] = world.next(world.people[0])
            world.answer(world.people[0], leased, "correct", label=world.labels[1])
        assert check_page(page, address, "certificate-suspended", language) == []
        expect(page.locator("main")).to_contain_text(reason)
        page.get_by_role("link", name=show).click()
        page.wait_for_url("**/later/")
        assert check_page(page, f"{address}later/", "certificate-doubtful", language) == []
        page.get_by_role("button", name=send).click()
        page.locator("#confirm-dialog [value=yes]").click()
        expect(page.locator(".gallery .badge--accent").first).to_be_visible()
        waiting = QueueItem.objects.filter(state=QueueItem.State.WAITING)
        assert waiting.exists() and set(waiting.values_list("stream", flat=True)) == {Stream.RECHECK}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_failed_job_is_continued(browser: Browser, live_server: Any, language: str) -> None:
    world = FilePool()
    protocol = make_protocol(alpha_by_label={str(world.labels[1].pk): 0.4})
    request_plan(dataset=world.dataset, user=world.admin, protocol=protocol)
    Job.objects.update(state=State.FAILED, error="The disk is full.")
    quality = f"{live_server.url}/d/{world.dataset.slug}/quality/"
    address = f"{quality}certificates/1/"
    with open_page(browser, language) as page:
        log_in(page, live_server, world.admin, language)
        for shown, name in (
            (f"{quality}certificates/plans/1/", "certificate-2-stopped"),
            (quality, "quality-stopped"),
            (address, "certificate-stopped"),
        ):
            assert check_page(page, shown, name, language) == []
            expect(page.locator("main")).to_contain_text("The disk is full.")
        page.get_by_role("button", name=WORDS[language][4], exact=True).click()
        expect(page.locator("main")).not_to_contain_text("The disk is full.")
        assert Job.objects.filter(state=State.QUEUED).exists()
