"""A study in a real Chromium: an admin creates it, two reviewers judge it twice, the report is read.

One reviewer works in Japanese by keyboard only, the other in English on a phone by touch.
"""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from mekiki.quality.models import Study, StudyAnswer
from mekiki.review.models import Decision, QueueItem
from tests.e2e.station_setup import image_with_files, station_with
from tests.e2e.test_pages import check_page, log_in, open_page, save_screenshot
from tests.factories import MembershipFactory, UserFactory
from tests.quality.study_setup import StudyScene, allow_few_images
from tests.quality.test_reports import compute

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> StudyScene:
    """Create eight images with files and confirmed labels; the second label is critical."""
    allow_few_images(monkeypatch)
    scene = StudyScene(images=0)
    scene.station = station_with(0)
    scene.dataset, scene.labels = scene.station.dataset, scene.station.labels
    MembershipFactory(dataset=scene.dataset, user=scene.admin, role="admin")
    scene.people = [UserFactory(username="hanako"), UserFactory(username="bernd")]
    for user in scene.people:
        MembershipFactory(dataset=scene.dataset, user=user)
    scene.labels[1].critical = True
    scene.labels[1].save(update_fields=["critical"])
    scene.images = [image_with_files(scene.station) for _ in range(8)]
    scene.confirm_all()
    return scene


def right_label(scene: StudyScene, image: int) -> Any:
    row = Study.objects.get().images.get(pk=image)
    return scene.label_of([one.pk for one in scene.images].index(row.image_id))


def current(page: Page) -> tuple[int, int]:
    """Return (run, image) of the image on the screen, once it takes answers."""
    page.wait_for_selector("[data-station][data-item] [data-canvas] img")
    run, image = (page.get_attribute("[data-station]", "data-item") or "").split("-")
    return int(run), int(image)


def wait_for_next(page: Page, run: int, image: int) -> None:
    other = f'[data-station][data-item]:not([data-item="{run}-{image}"])'
    page.wait_for_selector(f"{other}, [data-station] [data-empty]:not([hidden])")


def open_study(page: Page, scene: StudyScene) -> None:
    page.goto(page.url.split("/d/")[0] + f"/d/{scene.dataset.slug}/quality/")
    page.get_by_role("link", name="画像を判定").or_(page.get_by_role("link", name="Judge the images")).click()


def test_study_from_form_to_report(
    enter: Callable[..., Page], browser: Browser, live_server: Any, scene: StudyScene
) -> None:
    admin = enter(scene.station, scene.admin)
    admin.goto(f"{live_server.url}/d/{scene.dataset.slug}/quality/")
    admin.get_by_role("link", name="New study").click()
    admin.get_by_label("Name of the study").fill("Spring")
    for user in scene.people:
        admin.get_by_label(user.username, exact=True).check()
    admin.get_by_label("Number of images").fill("20")
    admin.get_by_label("Choice of the images").select_option("random")
    admin.get_by_label("Reference labels").select_option("confirmed")
    save_screenshot(admin, "study-create-en")
    admin.get_by_role("button", name="Draw the images").click()
    expect(admin.get_by_text("Only 8 images fit this design")).to_be_visible()
    # The form asks for 20 images at least. A study with fewer is created as the form would.
    study = scene.draft(reference="confirmed", name="Spring 春")
    admin.goto(f"{live_server.url}/d/{scene.dataset.slug}/quality/studies/1/")
    expect(admin.locator(".study-image")).to_have_count(8)
    admin.get_by_label("I have looked at the reference labels").check()
    save_screenshot(admin, "study-preview-en")
    admin.get_by_role("button", name="Start the study").click()
    expect(admin.get_by_text("The study has started")).to_be_visible()

    judge_by_keyboard(enter(scene.station, scene.people[0], "ja"), scene)
    judge_by_touch(
        enter(scene.station, scene.people[1], viewport={"width": 390, "height": 844}, has_touch=True), scene
    )

    study.refresh_from_db()
    assert study.state == "finished"
    assert StudyAnswer.objects.count() == 32
    assert not Decision.objects.filter(user__in=scene.people).exists() and not QueueItem.objects.exists()
    compute(study)
    for language in ("en", "ja"):
        with open_page(browser, language) as page:
            log_in(page, live_server, scene.admin, language)
            problems = []
            for name, path in (
                ("quality", ""),
                ("study-report", "studies/1/"),
                ("study-new", "studies/new/"),
            ):
                url = f"{live_server.url}/d/{scene.dataset.slug}/quality/{path}"
                problems += check_page(page, url, f"{name}-{language}", language)
            assert problems == []
            page.goto(f"{live_server.url}/d/{scene.dataset.slug}/quality/studies/1/")
            expect(page.locator(".study-images--answers .study-image")).to_have_count(2)
            expect(page.locator("[aria-labelledby=section-critical] tbody tr").nth(1)).to_contain_text(
                "50.0 %"
            )
            with page.expect_download() as download:
                page.locator('a[href$="-ja.pdf"]').click()
            assert download.value.suggested_filename.endswith("-study-1-v1-ja.pdf")


def judge_by_keyboard(page: Page, scene: StudyScene) -> None:
    """Judge both runs with the keys: right in run 1, one image differently in run 2."""
    open_study(page, scene)
    orders: list[list[int]] = [[], []]
    for place in range(16):
        run, image = current(page)
        orders[run - 1].append(image)
        label = right_label(scene, image)
        if place == 0:
            save_screenshot(page, "study-station-ja")
            page.keyboard.press("z")  # no undo
            page.keyboard.press("Enter")  # nothing to confirm
            page.keyboard.press("9")  # no such label
            expect(page.locator("[data-hint]")).to_be_visible()
            page.keyboard.down(str(scene.labels.index(label) + 1))
            page.keyboard.down(str(scene.labels.index(label) + 1))  # held: it repeats
            page.keyboard.up(str(scene.labels.index(label) + 1))
        elif place == 15:
            page.keyboard.press("s")
        else:
            page.keyboard.press(str(scene.labels.index(label) + 1))
        wait_for_next(page, run, image)
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]
    expect(page.locator("[data-empty-text]")).to_contain_text("ありがとう")
    expect(page.locator("[data-sync]")).to_have_attribute("data-state", "saved")
    save_screenshot(page, "study-done-ja")
    assert page.problems == []  # type: ignore[attr-defined]


def judge_by_touch(page: Page, scene: StudyScene) -> None:
    """Judge both runs by touch, with two misses in run 2. The connection is lost for a moment."""
    open_study(page, scene)
    for place in range(16):
        run, image = current(page)
        page.wait_for_timeout(520)  # two taps within half a second are a double click
        label = right_label(scene, image)
        if place == 1:
            save_screenshot(page, "study-station-phone-en")
        if place == 2:
            page.route("**/studies/1/answer", lambda route: route.abort())
        if run == 2 and label == scene.labels[1]:
            label = scene.labels[0]  # two misses of the critical label
        page.get_by_role("button", name=label.name).tap()
        if place == 2:
            expect(page.locator("[data-sync]")).to_have_attribute("data-state", "offline")
            page.unroute("**/studies/1/answer")
            page.reload()  # the answer is kept on the device
        wait_for_next(page, run, image)
    expect(page.locator("[data-empty-text]")).to_contain_text("Thank you")
    expect(page.locator("[data-sync]")).to_have_attribute("data-state", "saved")
    assert page.problems == []  # type: ignore[attr-defined]
