"""An admin freezes certified labels and verifies the file; a stopped certificate is not offered."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from mekiki.audit.private_key import settle_key
from mekiki.exports.models import LabelSet
from mekiki.exports.writing import write_label_set
from mekiki.quality.services.certificates import revoke
from tests.e2e.test_pages import check_page, log_in, open_page
from tests.exports.certified_setup import AcceptedPool
from tests.exports.helpers import ignore_progress
from tests.factories import set_fixed
from verification.label_set.verify import verify

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]
WORDS = {
    "en": ("that certificate 1 set by machine", "Freeze", "Download label set", "are left out"),
    "ja": ("認定 1 により機械が付けた", "凍結", "ダウンロード", "含められません"),
}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_certified_labels_from_the_form_to_the_verified_file(
    browser: Browser, live_server: Any, language: str, tmp_path: Path
) -> None:
    choice, freeze, download, left_out = WORDS[language]
    settle_key()
    world = AcceptedPool()
    set_fixed(world.head, calibrated=True)
    address = f"{live_server.url}/d/{world.dataset.slug}/exports/"
    with open_page(browser, language) as page:
        log_in(page, live_server, world.admin, language)
        page.goto(address)
        page.get_by_label(choice).check()
        page.get_by_role("button", name=freeze, exact=True).click()
        page.wait_for_load_state()
        label_set = write_label_set(label_set=LabelSet.objects.get(), progress=ignore_progress)
        assert label_set.certificate == world.certificate
        assert check_page(page, address, "exports-certified", language) == []
        with page.expect_download() as waiting:
            page.get_by_role("link", name=download).first.click()
        file = tmp_path / "labels.zip"
        waiting.value.save_as(file)
        report = verify(file)
        assert report.ok and report.summary["certificate"]["number"] == 1
        revoke(certificate=world.certificate, user=world.admin)
        assert check_page(page, address, "exports-certificate-revoked", language) == []
        expect(page.locator("main")).to_contain_text(left_out)
        expect(page.get_by_label(choice)).to_have_count(0)
