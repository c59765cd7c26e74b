"""Changing the encoder in a real Chromium: choose, prepare, compare, switch, roll back."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from mekiki.embedded.supervisor import Platform
from tests import prepared_homes
from tests.e2e import screenshots
from tests.e2e.test_journey import PASSWORD, go, log_in, wait_for_text
from tests.waiting import PATIENCE
from tests.workers.conftest import COLOURS, make_model, picture

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PREPARE = (
    f"PASSWORD = {PASSWORD!r}"
    + """
from mekiki.accounts.models import Role, User
from mekiki.accounts.services import create_user, set_role
from mekiki.datasets.services import create_dataset
from mekiki.labeling.services import set_schema

admin = User.objects.get(username="aiko")
dataset = create_dataset(
    name="Colours", slug="colours", user=admin, retrain_every=0, queue_target=30, audit_fraction=0.3
)
labels = [
    {"name": n, "prompts": [f"a photo of something {n} that lies on a table under a lamp in a hall"]}
    for n in ("red", "green", "blue")
]
set_schema(dataset=dataset, labels=labels, user=admin)
hanako = create_user(name="hanako", password=PASSWORD)
User.objects.filter(pk=hanako.pk).update(language="ja")
set_role(dataset=dataset, user=hanako, role=Role.ADMIN, actor=admin)
"""
)
ANSWER = """
import uuid
from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.review.services import answer, next_items

admin, dataset = User.objects.get(username="aiko"), Dataset.objects.get()
labels = {label.name: label.pk for label in dataset.labels.all()}
while leased := next_items(dataset=dataset, user=admin, count=1):
    item = leased[0]
    answer(dataset=dataset, user=admin, item_id=item.item.pk, lease_id=item.lease.pk, kind="correct",
           label=labels[item.item.image.name.split("/")[-1].split("-")[0]], client_key=uuid.uuid4())
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[Platform]:
    variables = {
        "DATABASE_URL": "",
        "BROKER_URL": "",
        "MEKIKI_ADMIN_NAME": "aiko",
        "MEKIKI_ADMIN_PASSWORD": PASSWORD,
    }
    home = prepared_homes.prepare(tmp_path_factory.mktemp("change") / "home")
    make_model(home / "models" / "line-camera", seed=21, dim=24, context=12)
    with Platform(home, env=variables, quiet=True) as started:
        yield started
        started.discard()


def manage(platform: Platform, *arguments: str) -> None:
    command = [sys.executable, "-m", "mekiki", *arguments]
    process = subprocess.run(command, env=platform.env, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr


def wait_for_predictions(page: Page, images: int) -> None:
    """Wait until all images are embedded and no work is left."""
    deadline = time.monotonic() + PATIENCE
    while True:
        in_use = page.request.get("/api/v1/datasets/colours/encoder").json()["in_use"]
        jobs = page.request.get("/api/v1/jobs?dataset=colours").json()
        if in_use and in_use["embedded"] == images and not any(job["active"] for job in jobs):
            return
        assert time.monotonic() < deadline, (in_use, jobs)
        page.wait_for_timeout(500)


def press_and_confirm(page: Page, button: str, yes: str) -> None:
    """Press a button that asks for confirmation, and confirm.

    Returns after the answer has arrived, so that leaving the page cannot undo it.
    """
    page.get_by_role("button", name=button).click()
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.locator("#confirm-dialog").get_by_role("button", name=yes).click()


def take_screenshots(pages: dict[str, Page], name: str) -> None:
    for language, page in pages.items():
        go(page, "/d/colours/models/encoder/")
        for width, height in ((390, 844), (1280, 900)):
            page.set_viewport_size({"width": width, "height": height})
            screenshots.save(page, f"encoder-{name}-{language}-{width}", full_page=True)
            excess = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert excess <= 0, f"{name} {language} {width} scrolls sideways by {excess} px"


def test_encoder_change_from_choice_to_rollback(platform: Platform, browser: Browser, tmp_path: Path) -> None:
    for number in range(60):
        name = list(COLOURS)[number % 3]
        (tmp_path / f"{name}-{number}.png").write_bytes(picture(COLOURS[name], number))
    manage(platform, "manage", "shell", "-v", "0", "-c", PREPARE)
    manage(platform, "import", "colours", str(tmp_path), "--user", "aiko")
    page = log_in(browser, platform.url, "aiko")
    page.set_default_timeout(120_000)
    wait_for_predictions(page, 60)
    manage(platform, "manage", "shell", "-v", "0", "-c", ANSWER)
    size = {"width": 1280, "height": 900}
    pages = {
        language: log_in(browser, platform.url, name, locale, viewport=size)
        for language, locale, name in (("en", "en-US", "aiko"), ("ja", "ja-JP", "hanako"))
    }
    for user_page in pages.values():
        user_page.set_default_timeout(120_000)

    # Chosen from the folder where the operator placed the model.
    go(page, "/d/colours/models/encoder/")
    expect(page.locator("main")).to_contain_text("recommended here")
    take_screenshots(pages, "1-choice")
    go(page, "/d/colours/models/encoder/")
    page.get_by_role("button", name="line-camera").click()
    expect(page.locator("main")).to_contain_text("line-camera")

    # The page reloads itself when the job ends.
    expect(page.get_by_role("button", name="Switch over…")).to_be_visible(timeout=PATIENCE * 1000)
    main = page.locator("main")
    expect(main).to_contain_text("Accuracy, on the audit sample")
    # With so few audited images the interval is shown first.
    expect(main).to_contain_text("the interval becomes narrower with more audited images")
    expect(main).to_contain_text("They do not estimate the accuracy")
    expect(main).to_contain_text("12 are read")
    take_screenshots(pages, "2-ready")
    go(page, "/d/colours/labels/")
    expect(page.locator("main")).to_contain_text("12 are read")
    screenshots.save(page, "encoder-3-labels", full_page=True)

    # Switched with one confirmation.
    go(page, "/d/colours/models/encoder/")
    press_and_confirm(page, "Switch over…", "Switch over")
    wait_for_text(page, "/d/colours/models/encoder/", "Revert the change")
    take_screenshots(pages, "4-switched")
    go(page, "/d/colours/models/")
    expect(page.locator("main")).to_contain_text("was switched over to the encoder")
    go(page, "/d/colours/images/")
    expect(page.locator("main img").first).to_be_visible()
    go(page, "/d/colours/activity/")
    expect(page.locator("main")).to_contain_text("Encoder switched over")

    # Rolled back.
    go(page, "/d/colours/models/encoder/")
    press_and_confirm(page, "Revert the change…", "Revert the change")
    wait_for_text(page, "/d/colours/models/encoder/", "In use: pocket")
    take_screenshots(pages, "5-taken-back")
    go(page, "/d/colours/models/encoder/")
    press_and_confirm(page, "Remove…", "Remove")
    wait_for_text(page, "/d/colours/activity/", "Embeddings removed")
