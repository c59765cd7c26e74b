"""The import page with all sources, the builder of path patterns, and the page of imported labels."""

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from mekiki.datasets import services
from mekiki.datasets.models import ImportBatch
from mekiki.datasets.options import ImportOptions
from mekiki.labeling.services import set_schema
from tests.datasets.helpers import picture
from tests.e2e.test_pages import check_page, log_in
from tests.factories import DatasetFactory, UserFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_pattern_is_built_by_clicks_and_labels_arrive(
    page: Page, live_server: Any, language: str, tmp_path: Path, settings: Any
) -> None:
    admin = UserFactory(username="aiko", language=language)
    dataset = DatasetFactory(slug="line-3", name="Line 3", admin=admin, audit_fraction=0.0)
    set_schema(dataset=dataset, labels=[{"name": "OK", "prompts": ["a good part"]}], user=admin)
    settings.IMPORT_FOLDERS, settings.IMPORT_BUCKETS = [str(tmp_path)], ["s3://photos/line3"]
    for n, label in enumerate(("ok", "傷")):
        file = tmp_path / "line3" / label / f"2026_{n}.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(picture(n, kind="PNG"))
    services.watch_folder(dataset=dataset, user=admin, path=str(tmp_path / "line3"))
    log_in(page, live_server, admin, language)
    address = live_server.url + reverse("import", args=["line-3"])
    page.goto(address)
    form = page.locator("form[action$='/import/folder/']")
    form.locator("summary").click()
    form.locator("[data-path-example]").fill("line3/ok/2026_0.png")
    form.get_by_role("button", name="line3", exact=True).click()
    page.keyboard.type("line")
    form.get_by_role("button", name="2026", exact=True).click()
    page.keyboard.type("year")
    expect(form.locator("[data-path-pattern]")).to_have_value("{line}/{*}/{year}_{*}")
    expect(form.locator("[data-path-result]")).to_contain_text("line = line3, year = 2026")
    form.locator("[name=path]").fill(str(tmp_path))
    form.locator("[name=folder_labels]").check()
    form.locator("[name=label_use][value=train]").check()
    form.locator("[name=label_source]").fill("Line 3")
    form.get_by_role("button").last.click()
    expect(page).to_have_url(address + f"{ImportBatch.objects.get().pk}/")
    batch = services.run_import(batch=ImportBatch.objects.get(), progress=lambda _done, _total: None)
    assert dataset.images.get(name="line3/ok/2026_0.png").metadata == {"line": "line3", "year": "2026"}
    assert ImportOptions(label_use=batch.label_use, label_source=batch.label_source) == ImportOptions(
        label_use="train", label_source="Line 3"
    )
    wrong = {}
    for name, url in {
        "import-sources": address,
        "imported-labels": live_server.url + reverse("import-labels", args=["line-3", batch.pk]),
        "import-batch": live_server.url + reverse("import-batch", args=["line-3", batch.pk]),
    }.items():
        if problems := check_page(page, url, name, language, 200):
            wrong[name] = problems
    assert not wrong, wrong
