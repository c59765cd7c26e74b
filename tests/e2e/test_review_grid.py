"""The grid review in a real Chromium: keyboard only in both languages, by touch, without a connection."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from mekiki.labeling.models import Label
from mekiki.review.models import ConfirmedLabel, Decision, Lease, Stream
from tests.e2e.station_setup import image_with_files, station_with
from tests.e2e.test_pages import save_screenshot
from tests.e2e.test_review_session import scan
from tests.e2e.test_skip_reasons import FLAG_AND_PRESS
from tests.review_setup import Station
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def open_grid(page: Page, station: Station) -> Page:
    page.goto(page.url.split("/d/")[0] + f"/d/{station.dataset.slug}/review/grid/")
    return page


def tile(page: Page, number: int) -> Locator:
    return page.get_by_role("gridcell").nth(number - 1)


def item_at(page: Page, number: int) -> int:
    return int(tile(page, number).get_attribute("data-item") or 0)


def expect_ready(page: Page) -> None:
    expect(page.locator("[data-grid]")).to_have_attribute("data-ready", "")


def decisions() -> dict[int, tuple[str, int | None]]:
    rows = Decision.objects.exclude(kind="undo").filter(superseded_by__isnull=True)
    return {d.item_id: (d.kind, d.label_id) for d in rows}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_page_is_marked_confirmed_and_undone_by_keyboard(enter: Callable[..., Page], language: str):
    station = station_with(8)
    station.item(stream=Stream.AUDIT, image=image_with_files(station))
    predicted, scratch = station.labels[0], station.labels[2]
    page = open_grid(enter(station, station.reviewer(), language), station)
    expect(tile(page, 1)).to_be_focused()
    expect(page.get_by_role("gridcell")).to_have_count(8)
    page.keyboard.press("ArrowRight")
    expect(tile(page, 2)).to_be_focused()
    page.keyboard.press("3")
    expect(tile(page, 2)).to_have_accessible_name(re.compile(f"{predicted.name}.*{scratch.name}"))
    page.keyboard.press("End")
    page.keyboard.press("s")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    expect(page.locator("[data-flag-dialog]")).to_be_visible()
    page.keyboard.press("1")  # the first reason, not the first label
    page.keyboard.press("Enter")
    expect(page.locator("[data-flag-dialog]")).to_be_hidden()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("2")
    page.keyboard.press("Delete")
    items = [item_at(page, number) for number in range(1, 9)]
    expect(page.locator("[data-marks]")).to_contain_text("3")
    columns = page.get_by_role("row").first.get_by_role("gridcell").count()
    expect_ready(page)
    save_screenshot(page, f"grid-marked-{language}")
    page.keyboard.press("Enter")
    until(lambda: Decision.objects.count() == 8, "eight decisions")
    last = min(columns, 8)
    assert decisions() == dict.fromkeys(items, ("confirm", predicted.pk)) | {
        items[1]: ("correct", scratch.pk),
        items[last - 1]: ("skip", None),
        items[last - 2]: ("flag", None),
    }
    assert Decision.objects.get(kind="flag").reason == "bad_image"
    assert {d.shown["grid"]["tiles"] for d in Decision.objects.all()} == {8}
    assert all(d.milliseconds and d.milliseconds >= 800 for d in Decision.objects.all())
    expect(page.locator("[data-empty]")).to_be_visible()
    expect(page.locator("[data-empty-link]")).to_have_attribute("href", re.compile("/review/$"))
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.get_by_role("gridcell")).to_have_count(8)
    assert Decision.objects.filter(kind="undo").count() == 8 and not ConfirmedLabel.objects.exists()
    page.keyboard.press("F1")
    expect(page.locator("[data-help-dialog]")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.problems == []  # type: ignore[attr-defined]


def test_page_is_not_confirmed_before_it_was_looked_at(enter: Callable[..., Page]):
    station = station_with(6, grid_image_ms=10_000)
    page = open_grid(enter(station, station.reviewer()), station)
    expect(tile(page, 1)).to_be_focused()
    confirm = page.get_by_role("button", name="Confirm")
    expect(confirm).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Enter")
    expect(page.locator("[data-notice]")).to_contain_text("Look at the images for")
    confirm.click(force=True)
    assert not Decision.objects.exists()


def test_held_keys_and_composed_text_confirm_nothing(enter: Callable[..., Page]):
    station = station_with(6)
    page = open_grid(enter(station, station.reviewer()), station)
    expect_ready(page)
    page.evaluate(
        """() => {
          const send = options => document.activeElement.dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", bubbles: true, ...options }));
          send({ repeat: true });
          send({ isComposing: true });
          send({ key: "Process", keyCode: 229 });
          send({ key: "2", isComposing: true });
        }"""
    )
    expect(page.locator("[data-marks]")).to_have_text("")
    expect(page.locator("[data-grid][data-recorded]")).to_have_count(0)
    page.keyboard.press("Enter")
    until(lambda: Decision.objects.count() == 6, "six decisions")
    assert {kind for kind, _label in decisions().values()} == {"confirm"}


def test_key_right_after_the_dialog_of_a_flag_confirms_the_page_with_the_flag(enter: Callable[..., Page]):
    station = station_with(4)
    scratch = station.labels[2]
    Label.objects.filter(pk=scratch.pk).update(code="SZ2")
    page = open_grid(enter(station, station.reviewer()), station)
    items = [item_at(page, number) for number in range(1, 5)]
    expect_ready(page)
    page.keyboard.press("f")
    expect(page.locator("[data-flag-dialog]")).to_be_visible()
    page.evaluate(FLAG_AND_PRESS, ["[data-flag-dialog]", "Enter"])
    until(lambda: Decision.objects.count() == 4, "four decisions")
    assert decisions() == dict.fromkeys(items, ("confirm", station.labels[0].pk)) | {items[0]: ("flag", None)}
    expect(page.locator("[data-empty]")).to_be_visible()
    page.keyboard.press("z")
    expect(page.get_by_role("gridcell")).to_have_count(4)
    # A scanner marks the image under the focus. Its keys are no commands, and its Enter does not confirm.
    expect_ready(page)
    scan(page, "SZ2")
    expect(tile(page, 1)).to_contain_text(f"{scratch.name} · SZ2")
    page.keyboard.press("ArrowRight")
    scan(page, "7")
    expect(page.locator("[data-notice]")).to_contain_text("No label has the code")
    expect(page.locator("[data-marks]")).to_contain_text("1")
    assert Decision.objects.filter(kind="undo").count() == 4 and Decision.objects.count() == 8


def test_page_is_marked_and_confirmed_by_touch_on_a_phone(enter: Callable[..., Page]):
    station = station_with(12)
    page = enter(station, station.reviewer(), viewport={"width": 390, "height": 844}, has_touch=True)
    page.evaluate("localStorage.clear()")
    open_grid(page, station)
    expect(page.get_by_role("gridcell")).to_have_count(12)
    first, second = item_at(page, 1), item_at(page, 2)
    tile(page, 1).tap()
    save_screenshot(page, "grid-menu-phone")
    page.locator("[data-grid-menu] button", has_text=station.labels[1].name).tap()
    tile(page, 2).tap()
    page.get_by_role("button", name="Flag").tap()
    page.get_by_label("duplicate").tap()
    page.locator("[data-flag-note]").fill("the same part")
    page.get_by_role("button", name="Flag the image").tap()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.get_by_role("gridcell").last.scroll_into_view_if_needed()
    expect_ready(page)
    save_screenshot(page, "grid-marked-phone")
    page.get_by_role("button", name="Confirm 10").tap()
    until(lambda: Decision.objects.count() == 12, "twelve decisions")
    assert decisions()[first] == ("correct", station.labels[1].pk)
    assert decisions()[second] == ("flag", None)
    flag = Decision.objects.get(kind="flag")
    assert (flag.reason, flag.note) == ("duplicate", "the same part")
    assert page.problems == []  # type: ignore[attr-defined]


def test_images_below_the_window_must_be_scrolled_to(enter: Callable[..., Page]):
    station = station_with(24)
    page = enter(station, station.reviewer(), viewport={"width": 390, "height": 844})
    open_grid(page, station)
    expect(page.get_by_role("gridcell")).to_have_count(24)
    until(lambda: page.evaluate("document.querySelector('[data-progress]').value >= 2400"), "the time")
    page.keyboard.press("Enter")
    expect(page.locator("[data-notice]")).to_contain_text("Scroll to the images")
    assert not Decision.objects.exists()

    def scroll_through() -> bool:
        for number in (1, 6, 12, 18, 24):
            tile(page, number).scroll_into_view_if_needed()
            page.wait_for_timeout(150)
        return page.get_attribute("[data-grid]", "data-ready") is not None

    until(scroll_through, "the page accepts answers")


def test_page_without_a_connection_keeps_its_marks_and_is_sent_once(enter: Callable[..., Page]):
    station = station_with(6)
    page = open_grid(enter(station, station.reviewer()), station)
    expect_ready(page)
    sent = []

    def lose_reply(route: Route) -> None:
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            route.fetch()  # the server records the page, and the reply is lost
        route.abort()

    page.route("**/grid/answer", lose_reply)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.locator("[data-notice]")).to_contain_text("No connection")
    expect(tile(page, 1)).to_have_attribute("data-kind", "correct")
    page.keyboard.press("3")
    expect(tile(page, 1)).to_contain_text(station.labels[1].name)
    page.unroute("**/grid/answer")
    page.reload()
    expect(page.locator("[data-empty]")).to_be_visible()
    assert {body["page"] for body in sent} == {sent[0]["page"]}
    assert Decision.objects.count() == 6
    assert sorted(kind for kind, _label in decisions().values()) == ["confirm"] * 5 + ["correct"]


def test_choices_are_kept_and_another_label_gives_the_images_back(enter: Callable[..., Page]):
    station = station_with(8)
    user = station.reviewer()
    page = open_grid(enter(station, user), station)
    expect(page.get_by_role("gridcell")).to_have_count(8)
    page.get_by_label("Images on a page").select_option("6")
    expect(page.get_by_role("gridcell")).to_have_count(6)
    page.get_by_label("Size of the images").select_option("large")
    until(lambda: Lease.objects.filter(ended_at__isnull=True).count() == 6, "six leases")
    open_grid(page, station)
    expect(page.get_by_role("gridcell")).to_have_count(6)
    expect(page.locator("[data-tiles]")).to_have_attribute("data-tile-size", "large")
    page.get_by_role("link", name="Review one at a time").click()
    expect(page.locator("[data-station]")).to_be_visible()
    page.get_by_role("link", name="Grid review").click()
    expect(page.get_by_role("gridcell")).to_have_count(6)
