"""The option of the import page is used by the import, in a real Chromium."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mekiki.datasets.models import ImportBatch
from tests.e2e.test_pages import log_in
from tests.factories import DatasetFactory, UserFactory
from tests.imaging.files import GREY, tiff

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("is_chosen", [True, False])
def test_import_option_for_every_page_is_used(page: Page, live_server: Any, is_chosen: bool) -> None:
    admin = UserFactory(username="aiko")
    dataset = DatasetFactory(slug="line-3", name="Line 3", admin=admin)
    log_in(page, live_server, admin, "en")
    page.goto(f"{live_server.url}/d/line-3/import/")
    if is_chosen:
        page.get_by_text("Labels, capture metadata and pages").click()
        page.get_by_label("Every page becomes an image").focus()
        page.keyboard.press("Space")
    page.set_input_files("#import-files", [{"name": "a.tif", "mimeType": "image/tiff", "buffer": tiff(GREY)}])
    expect(page).to_have_url(re.compile(r"/import/\d+/$"))
    assert ImportBatch.objects.get(dataset=dataset).every_page is is_chosen
