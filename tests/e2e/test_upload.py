"""Uploading in a browser: by dialog and by drop, over a broken connection, and stopped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect

from mekiki.accounts.models import User
from mekiki.datasets import services
from mekiki.datasets.models import Dataset, Image, ImportBatch
from tests.datasets.helpers import picture, zipped
from tests.e2e import screenshots
from tests.e2e.axe import violations_of

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def dataset() -> Dataset:
    admin = User.objects.create_user("ada", may_create_datasets=True)
    return services.create_dataset(name="Line 3", user=admin)


@pytest.fixture
def imports(page: Page, live_server: Any, dataset: Dataset) -> Iterator[Page]:
    """Open the import page as its admin. Any error in the console fails the test."""
    client = Client()
    client.force_login(User.objects.get(username="ada"))
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
    )
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{live_server.url}/d/{dataset.slug}/import/")
    yield page
    assert errors == []


def run_latest_import() -> ImportBatch:
    return services.run_import(batch=ImportBatch.objects.latest("pk"), progress=lambda done, total: None)


def test_files_chosen_by_dialog_are_imported_and_problems_are_listed(imports: Page, tmp_path: Path) -> None:
    for i in range(120):
        (tmp_path / f"{i:03d}.jpg").write_bytes(picture(i % 100))
    (tmp_path / "傷.txt").write_bytes(b"no picture")
    imports.locator("#import-files").set_input_files([str(p) for p in sorted(tmp_path.iterdir())])
    imports.wait_for_url("**/import/*/")
    expect(imports.locator("[data-job]")).to_be_visible()
    batch = run_latest_import()
    assert (batch.added, batch.duplicates, batch.rejected) == (100, 20, 1)
    imports.reload()
    expect(imports.get_by_text("傷.txt")).to_be_visible()
    expect(imports.get_by_text("This file is not an image, although its name suggests one.")).to_be_visible()
    # The pages that exist only after an import, wide and on a phone.
    root = imports.url.split("/import/")[0]
    image = Image.objects.latest("pk")
    for address in (
        imports.url,
        f"{root}/images/?q=0&sort=unsure",
        f"{root}/images/{image.sha256}/",
        f"{root}/import/",
    ):
        for width in (1280, 390):
            imports.set_viewport_size({"width": width, "height": 800})
            imports.goto(address)
            violations = violations_of(imports)
            assert violations == [], address
            assert imports.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
            screenshots.save(imports, f"upload-{address.split('/')[-2][:10]}-{width}", full_page=True)


def test_folder_upload_keeps_the_paths(imports: Page, tmp_path: Path) -> None:
    folder = tmp_path / "shift 2"
    (folder / "left").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(picture(1))
    (folder / "left" / "a.jpg").write_bytes(picture(2))
    (folder / "metadata.csv").write_text("file,line\nleft/a.jpg,3\n")
    imports.locator("#import-folder").set_input_files(str(folder))
    imports.wait_for_url("**/import/*/")
    assert run_latest_import().added == 2
    assert dict(Image.objects.values_list("name", "metadata")) == {
        "shift 2/a.jpg": {},
        "shift 2/left/a.jpg": {"line": "3"},
    }


def test_large_dropped_zip_is_streamed(imports: Page, tmp_path: Path) -> None:
    # Noise does not compress: 21 MB in one zip.
    files = {f"{i}.png": picture(i, (600, 600), "PNG") for i in range(20)}
    (tmp_path / "写真.zip").write_bytes(zipped(files))
    with imports.expect_request("**/files?part=0") as sent:
        imports.evaluate(
            "() => document.body.append("
            "Object.assign(document.createElement('input'), {type: 'file', id: 'helper'}))"
        )
        imports.locator("#helper").set_input_files(str(tmp_path / "写真.zip"))
        imports.evaluate(
            """() => {
                const data = new DataTransfer();
                data.items.add(document.getElementById("helper").files[0]);
                const zone = document.querySelector("[data-upload]");
                const options = {dataTransfer: data, bubbles: true, cancelable: true};
                zone.dispatchEvent(new DragEvent("drop", options));
            }"""
        )
    assert sent.value.headers["content-type"] == "application/octet-stream"
    imports.wait_for_url("**/import/*/")
    assert run_latest_import().added == 20


def test_upload_with_a_lost_reply_is_imported_once(
    imports: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(60):
        (tmp_path / f"{i:03d}.jpg").write_bytes(picture(i))
    counts: list[int] = []
    add_files = services.add_files

    def lose_first_reply(**part: Any) -> int:
        counts.append(add_files(**part))
        if len(counts) == 1:
            raise ConnectionError("the files are stored; the browser never hears so")
        return counts[-1]

    monkeypatch.setattr(services, "add_files", lose_first_reply)
    imports.locator("#import-files").set_input_files([str(p) for p in sorted(tmp_path.iterdir())])
    imports.wait_for_url("**/import/*/")
    assert counts == [50, 0, 10]
    batch = run_latest_import()
    assert (batch.added, batch.duplicates) == (60, 0)


def test_upload_without_a_connection_can_be_retried_and_stopped(imports: Page, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(1))
    imports.clock.install()
    imports.route("**/files?part=0", lambda route: route.abort("connectionrefused"))
    imports.locator("#import-files").set_input_files(str(tmp_path / "a.jpg"))
    for _ in range(4):
        imports.wait_for_timeout(200)
        imports.clock.fast_forward(9000)
    expect(imports.get_by_text("press “Try again” to go on")).to_be_visible()
    imports.get_by_role("button", name="Try again").click()
    expect(imports.locator("[data-upload-status]")).to_have_text("The connection broke. Trying again…")
    imports.get_by_role("button", name="Stop", exact=True).click()
    expect(imports.get_by_text("Stopped. Nothing was imported.")).to_be_visible()
    expect(imports.locator("#import-files")).to_be_visible()
    assert not ImportBatch.objects.exists()
