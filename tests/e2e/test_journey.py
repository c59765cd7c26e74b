"""The complete workflow in a real Chromium, with real photographs, on the real platform.

An admin creates a dataset with Japanese and English prompts and drops a zip. A reviewer answers by keyboard.
The admin retrains, sees the new head, and freezes and downloads a label set. Every lineage field of the file
is checked.
"""

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from mekiki.embedded.supervisor import Platform
from tests import prepared_homes
from tests.e2e import screenshots
from tests.embedded.conftest import DEFAULT_PROCESSES, EMBEDDED
from tests.photographs import KINDS, photographs
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PASSWORD = "a long journey begins"
OWN = "a second long journey"
PROMPTS = {
    "crazing": ["鋼板表面の細かいひび割れ網", "a photo of crazing on steel, a fine network of cracks"],
    "inclusion": ["鋼板表面の異物の巻き込み", "a photo of an inclusion in steel"],
    "patches": ["鋼板表面のまだら模様", "a photo of patches on a steel surface"],
    "pitted_surface": ["鋼板表面の点状の凹み", "a photo of a pitted steel surface"],
    "rolled-in_scale": ["圧延スケールの噛み込み", "a photo of rolled-in scale"],
    "scratches": ["鋼板表面の線状の傷", "a photo of scratches on steel"],
}
ANSWERS = 30


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Platform]:
    variables = {
        **EMBEDDED,
        **DEFAULT_PROCESSES,
        **{"MEKIKI_ADMIN_NAME": "aiko", "MEKIKI_ADMIN_PASSWORD": PASSWORD},
    }
    home = prepared_homes.prepare(tmp_path_factory.mktemp("journey") / "home")
    with Platform(home, env=variables, quiet=True) as started:
        yield started
        started.discard()


@pytest.fixture(scope="module")
def archive() -> tuple[bytes, dict[str, str]]:
    """Return a zip of 120 photographs, 20 of each kind, and their true labels by hash."""
    content, truth = io.BytesIO(), {}
    with zipfile.ZipFile(content, "w") as file:
        for kind in KINDS:
            for photograph in photographs(kind, 20):
                data = photograph.read_bytes()
                file.writestr(f"line 3/{photograph.name}", data)
                truth[hashlib.sha256(data).hexdigest()] = kind
    return content.getvalue(), truth


def log_in(browser: Browser, url: str, name: str, language: str = "en-US", **options) -> Page:
    # An animation, for example of a progress bar, would be painted all the time.
    options = {"base_url": url, "locale": language, "reduced_motion": "reduce", **options}
    page = browser.new_context(**options).new_page()
    page.goto("/accounts/login/")
    page.fill("[name=username]", name)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url(lambda address: "login" not in address)
    return page


def drop(page: Page, selector: str, name: str, content: bytes) -> None:
    """Drop a file onto an element, as the mouse would."""
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name, { type: "application/zip" }));
            return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event(selector, event, {"dataTransfer": transfer})


def go(page: Page, address: str) -> int:
    """Open an address and return its status.

    A page that reloads itself when a job ends may interrupt the first attempt.
    """
    for _try in range(3):
        try:
            reply = page.goto(address)
        except Error as error:
            if "ERR_ABORTED" not in str(error):
                raise
            continue
        if reply is None:  # interrupted by the page's own reload
            continue
        return reply.status
    raise AssertionError(f"{address} was never reached")


def wait_for_text(page: Page, address: str, text: str) -> None:
    """Load a page until it shows `text`, because background work has no fixed duration.

    A page costs much more time of a processor than a list of jobs. Therefore the page is loaded again only
    when a job has begun, changed or ended since the last time.
    """
    end = time.monotonic() + PATIENCE
    slug = address.split("/")[2]
    while True:
        before = job_states(page, slug)
        go(page, address)
        if text in page.inner_text("main"):
            return
        # Without active jobs, nothing reports the change: it may have come between the two requests.
        while any(active for *_job, active in before) and job_states(page, slug) == before:
            assert time.monotonic() < end, f"{address} did not show {text!r}:\n{page.inner_text('main')}"
            page.wait_for_timeout(250)
        assert time.monotonic() < end, f"{address} did not show {text!r}:\n{page.inner_text('main')}"
        page.wait_for_timeout(250)


def job_states(page: Page, slug: str) -> list[tuple[str, str, str, bool]]:
    """Return (id, kind, state, active) of the active and just ended jobs of a dataset."""
    jobs = page.request.get(f"/api/v1/jobs?dataset={slug}").json()
    return sorted((job["id"], job["kind"], job["state"], job["active"]) for job in jobs)


def test_complete_workflow_from_import_to_label_set(
    platform: Platform, browser: Browser, archive: tuple[bytes, dict[str, str]], tmp_path: Path
) -> None:
    content, truth = archive

    # --- The admin creates a dataset, describes the labels and drops a zip
    admin = log_in(browser, platform.url, "aiko")
    screenshots.save(admin, "journey-1-home")
    go(admin, "/datasets/new/")
    admin.fill("[name=name]", "Strip")
    admin.click("main form .button--primary")
    admin.wait_for_url("**/d/strip/labels/")
    rows = admin.locator("[data-label-rows] [data-label-row]")
    while rows.count() < len(KINDS):
        admin.click("[data-label-add]")
    for row, (name, prompts) in zip(rows.all(), PROMPTS.items(), strict=False):
        row.locator("input[name$=-name]").fill(name)
        row.locator("textarea[name$=-prompts]").fill("\n".join(prompts))
    screenshots.save(admin, "journey-2-labels", full_page=True)
    admin.get_by_role("button", name="Save labels and prompts").click()
    expect(admin.locator("[data-label-row] input[name$=-name]").nth(5)).to_have_value("scratches")
    go(admin, "/d/strip/import/")
    drop(admin, "[data-upload]", "line 3.zip", content)
    admin.wait_for_url("**/d/strip/import/*/", timeout=60_000)
    wait_for_text(admin, "/d/strip/import/", f"{len(truth)} images so far")
    screenshots.save(admin, "journey-3-imported")

    # --- Predictions appear automatically
    wait_for_text(admin, "/d/strip/models/", "zero-shot")
    go(admin, "/d/strip/images/")
    expect(admin.locator("main img").first).to_be_visible()
    screenshots.save(admin, "journey-4-gallery")

    # --- A colleague becomes a reviewer
    go(admin, "/accounts/users/new/")
    admin.fill("[name=name]", "hanako")
    admin.fill("[name=password]", PASSWORD)
    admin.click("main form .button--primary")
    go(admin, "/d/strip/members/")
    admin.locator("main form [name=name]").first.fill("hanako")
    admin.locator("main form [name=role]").first.select_option("reviewer")
    admin.locator("main form .button--primary").first.click()
    expect(admin.locator("main")).to_contain_text("hanako")

    # --- The reviewer answers thirty images by keyboard, in Japanese
    reviewer = log_in(browser, platform.url, "hanako", "ja-JP")
    reviewer.goto("/d/strip/review/")
    # The admin knows the password, so the reviewer must change it first.
    reviewer.wait_for_url("**/accounts/password/")
    for name, value in {"old_password": PASSWORD, "new_password1": OWN, "new_password2": OWN}.items():
        reviewer.fill(f"[name={name}]", value)
    reviewer.click("main form .button--primary")
    reviewer.wait_for_url("**/accounts/me/")
    reviewer.goto("/d/strip/review/")
    key_of = {name: str(i) for i, name in enumerate(PROMPTS, 1)}
    answered: list[str] = []
    blind = 0
    for n in range(ANSWERS):
        image = reviewer.locator("[data-canvas] img:visible")
        expect(image).to_have_attribute("src", re.compile(r"[0-9a-f]{64}"))
        sha256 = next(part for part in image.get_attribute("src").split("/") if len(part) == 64)
        assert sha256 not in answered, "an image was shown twice"
        answered.append(sha256)
        confirm = reviewer.locator("[data-act=confirm]")
        prediction_text = confirm.inner_text() if confirm.is_visible() else ""
        blind += not prediction_text
        if n == 3:
            screenshots.save(reviewer, "journey-5-station-ja")
        # The station accepts an answer after the image has been on the screen long enough.
        expect(reviewer.locator("[data-station]")).to_have_attribute("data-item", re.compile(r"\d+"))
        reviewer.keyboard.press("Enter" if truth[sha256] in prediction_text else key_of[truth[sha256]])
        if n + 1 < ANSWERS:
            expect(image).not_to_have_attribute("src", re.compile(sha256))
    assert blind >= 1, "no audit image was among thirty"
    expect(reviewer.locator("[data-today]")).to_have_text(str(ANSWERS))
    expect(reviewer.locator("[data-sync]")).to_have_attribute("data-state", "saved")
    # The server refuses actions that a reviewer may not do.
    assert go(reviewer, "/d/strip/settings/") == 403

    # --- The admin retrains, sees the new head, freezes and downloads
    go(admin, "/d/strip/models/")
    admin.get_by_role("button", name="Retrain").click()
    wait_for_text(admin, "/d/strip/models/2/", "trained on labels")
    screenshots.save(admin, "journey-6-head", full_page=True)
    check_head(platform, admin, reviewer, truth)
    go(admin, "/d/strip/exports/")
    admin.get_by_role("button", name="Freeze").click()
    wait_for_text(admin, "/d/strip/exports/", "frozen")
    screenshots.save(admin, "journey-7-exports", full_page=True)
    with admin.expect_download() as download:
        admin.get_by_role("link", name="Download label set 1").click()
    file = tmp_path / "labels.zip"
    download.value.save_as(file)
    go(admin, "/d/strip/")
    screenshots.save(admin, "journey-8-overview", full_page=True)

    check_label_set(file, truth, answered)


def check_head(platform: Platform, admin: Page, reviewer: Page, truth: dict[str, str]) -> None:
    """Check that the training repeats on the page and the command line, and who decided its labels."""
    admin.get_by_role("button", name="Repeat the training").click()
    wait_for_text(admin, "/d/strip/models/2/", "The repeated training gave the same digest")
    screenshots.save(admin, "journey-6-head-repeated", full_page=True)
    reviewer.set_viewport_size({"width": 390, "height": 844})
    assert go(reviewer, "/d/strip/models/2/") == 200
    expect(reviewer.locator("#repeat")).to_contain_text("同じダイジェスト")
    assert reviewer.locator("#repeat form").count() == 0
    screenshots.save(reviewer, "journey-6-head-ja-phone", full_page=True)
    with reviewer.expect_download() as download:
        reviewer.locator("a[href$='training-labels.csv']").click()
    text = download.value.path().read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert 0 < len(rows) < ANSWERS, "all but the audit sample"
    assert {row["decided_by"] for row in rows} == {"hanako"}
    assert {row["kind"] for row in rows} <= {"confirm", "correct"}
    for row in rows:
        assert row["label"] == truth[row["image_sha256"]] and row["label"] in row["file_name"]
    command = [sys.executable, "-m", "mekiki", "retrain", "strip", "--verify", "2"]
    process = subprocess.run(command, env=platform.env, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "same digest" in process.stdout


def check_label_set(file: Path, truth: dict[str, str], answered: list[str]) -> None:
    """Check each label with its lineage, each file with its hash, and the verifier's result, offline."""
    offline = {**os.environ, "DATABASE_URL": "", "MEKIKI_HOME": str(file.parent / "elsewhere")}
    verified = subprocess.run(
        [sys.executable, "-m", "mekiki", "verify", str(file)], env=offline, capture_output=True, text=True
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert not (file.parent / "elsewhere").exists(), "the verification created a home"
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        for name, entry in manifest["files"].items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == entry["sha256"]
        rows = [json.loads(line) for line in archive.read("labels.jsonl").splitlines()]
        assert archive.read("labels.csv").decode("utf-8-sig").count("\n") == ANSWERS + 1
    assert {row["image_sha256"] for row in rows} == set(answered)
    for row in rows:
        assert row["label"] == truth[row["image_sha256"]]
        assert row["source"] == "human"
        assert row["reviewer"] == "hanako"
        assert row["decision_kind"] in {"confirm", "correct"}
        assert row["decided_at"].startswith("20")
        assert row["file_name"].endswith(".jpg")
        assert row["stream"] in {"uncertain", "diverse", "audit"}
        assert 0 < row["propensity"] <= 1
        assert row["head"]["version"] == 1
        assert len(row["head"]["digest"]) == 64
        assert row["prompt_set"]["version"] == 1
        assert row["encoder"]["name"] == "pocket"
        assert row["blind"] is (row["stream"] == "audit")
        shown = row["shown"]
        if row["blind"]:
            assert shown is None, "a prediction was shown for an audit image"
        else:
            assert shown["label"] in PROMPTS
            assert 0 <= shown["confidence"] <= 1
            assert (shown["label"] == row["label"]) is (row["decision_kind"] == "confirm")
    assert sum(row["blind"] for row in rows) >= 1
