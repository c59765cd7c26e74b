"""How an image is looked at in the review station: zoom, magnifier, adjustments on the screen."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image as PillowImage
from PIL import ImageChops
from playwright.sync_api import Page, expect

from mekiki.review.models import Decision, ReviewPreferences, Stream
from tests.e2e import screenshots
from tests.e2e.axe import violations_of
from tests.e2e.station_setup import (
    expect_saved,
    image_with_files,
    item_of,
    open_again,
    press_and_wait,
    station_with,
)
from tests.review_setup import Station

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
]

COLOUR = (64, 128, 192)
BLOCK = 20  # pixels of an image of blocks that have one colour


def block_colour(column: int, row: int) -> tuple[int, int, int]:
    return column * 25, row * 25, 60


def blocks() -> PillowImage.Image:
    """Return 200 × 200 pixels of blocks that all differ."""
    picture = PillowImage.new("RGB", (200, 200))
    for column in range(200 // BLOCK):
        for row in range(200 // BLOCK):
            box = (column * BLOCK, row * BLOCK, (column + 1) * BLOCK, (row + 1) * BLOCK)
            picture.paste(block_colour(column, row), box)
    return picture


def station_of(*pictures: PillowImage.Image, labels: int = 4, stream: str = Stream.UNCERTAIN) -> Station:
    station = station_with(0, labels=labels)
    for picture in pictures:
        station.items.append(station.item(image=image_with_files(station, picture), stream=stream))
    return station


def plain(n: int = 0) -> PillowImage.Image:
    """Return one colour; the size makes the files differ."""
    return PillowImage.new("RGB", (200, 200 + n), COLOUR)


def screen(page: Page) -> PillowImage.Image:
    return PillowImage.open(io.BytesIO(page.screenshot())).convert("RGB")


def image_box(page: Page) -> dict[str, float]:
    return page.locator(".station__canvas img").evaluate(
        "image => { const b = image.getBoundingClientRect(); return {x: b.x, y: b.y, width: b.width} }"
    )


def middle_of_stage(page: Page) -> tuple[float, float]:
    box = page.locator("[data-stage]").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def colour_at(page: Page, x: float, y: float) -> tuple[int, ...]:
    return screen(page).getpixel((round(x), round(y)))  # type: ignore[return-value]


def expect_colour(page: Page, wanted: tuple[int, ...]) -> None:
    """Wait until the middle of the stage has the colour, within 2 of 255."""
    x, y = middle_of_stage(page)
    for _ in range(100):
        found = colour_at(page, x, y)
        if max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 2:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{found} on the screen, not {wanted}")


def set_slider(page: Page, name: str, value: float) -> None:
    page.locator(f'[data-adjust="{name}"]').fill(str(value))


@pytest.mark.parametrize("dots", [1, 2])
def test_one_to_one_shows_each_image_pixel_on_one_pixel_of_the_screen(enter: Callable[..., Page], dots: int):
    picture = PillowImage.effect_noise((301, 203), 90).convert("RGB")
    station = station_of(picture)
    page = enter(station, station.reviewer(), device_scale_factor=dots)
    item_of(page)
    box = page.locator("[data-canvas]").bounding_box()
    assert box
    fit = min(box["width"] / 301, box["height"] / 203) * dots
    zoom = page.locator("[data-zoom]")
    expect(zoom).to_have_text(f"{round(fit * 100)} %")
    page.keyboard.press("*")
    expect(zoom).to_have_text("100 %")
    expect(page.locator('[data-act="zoom-actual"]')).to_have_attribute("aria-pressed", "true")
    at = image_box(page)
    assert at["width"] == 301 / dots
    whole = screen(page)
    # The browser moves the stage to whole pixels, up or down.
    starts = [(int(at["x"] * dots) + dx, int(at["y"] * dots) + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    crops = [whole.crop((left, top, left + 301, top + 203)) for left, top in starts]
    assert any(ImageChops.difference(crop, picture).getbbox() is None for crop in crops)
    page.keyboard.press("+")
    expect(zoom).to_have_text("140 %")
    page.keyboard.press("0")
    expect(zoom).to_have_text(f"{round(fit * 100)} %")


def test_enlarged_pixels_are_squares_without_blur(enter: Callable[..., Page]):
    picture = PillowImage.new("RGB", (8, 8), (0, 0, 0))
    picture.paste((255, 255, 255), (4, 0, 8, 8))
    station = station_of(picture)
    page = enter(station, station.reviewer())
    item_of(page)
    x, y = middle_of_stage(page)
    row = screen(page).crop((round(x) - 100, round(y), round(x) + 100, round(y) + 1))
    assert {colour for _n, colour in row.getcolors() or []} == {(0, 0, 0), (255, 255, 255)}
    page.mouse.move(x, y)
    page.mouse.wheel(0, -2000)
    fitted = page.locator('[data-act="zoom-fit"]')
    expect(fitted).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Fit").click()
    expect(fitted).to_have_attribute("aria-pressed", "true")


def test_large_image_is_moved_by_dragging_and_by_arrow_keys(enter: Callable[..., Page]):
    station = station_of(PillowImage.new("RGB", (2400, 1800), COLOUR))
    page = enter(station, station.reviewer())
    item_of(page)
    fitted = image_box(page)
    page.keyboard.press("ArrowLeft")
    assert image_box(page) == fitted, "a fitted image is not moved"
    page.keyboard.press("*")
    expect(page.locator("[data-zoom]")).to_have_text("100 %")
    start = image_box(page)
    assert start["width"] == 2400
    x, y = middle_of_stage(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 50, y - 30)
    page.mouse.up()
    moved = image_box(page)
    assert (moved["x"] - start["x"], moved["y"] - start["y"]) == pytest.approx((50, -30), abs=1)
    page.keyboard.press("ArrowRight")
    assert image_box(page)["x"] == pytest.approx(moved["x"] - 60, abs=1)
    for _ in range(60):
        page.keyboard.press("ArrowLeft")
    stage = page.locator("[data-stage]").bounding_box()
    assert stage and image_box(page)["x"] == pytest.approx(stage["x"], abs=1), "the edge is the limit"
    page.mouse.dblclick(x, y)
    assert image_box(page) == fitted


def test_zoom_is_kept_for_the_next_image_only_by_choice_of_the_person(enter: Callable[..., Page]):
    station = station_of(plain(), plain(1), plain(2), plain(3))
    user = station.reviewer()
    page = enter(station, user)
    item_of(page)
    zoom, fitted = page.locator("[data-zoom]"), page.locator('[data-act="zoom-fit"]')
    page.keyboard.press("*")
    expect(zoom).to_have_text("100 %")
    press_and_wait(page, "Enter")
    expect(fitted).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="View").click()
    page.get_by_label("Keep the zoom").check()
    page.keyboard.press("Escape")
    page.keyboard.press("*")
    press_and_wait(page, "Enter")
    expect(zoom).to_have_text("100 %")
    expect(fitted).to_have_attribute("aria-pressed", "false")
    expect_saved(page)
    open_again(page)
    item_of(page)
    page.keyboard.press("*")
    press_and_wait(page, "Enter")
    expect(zoom).to_have_text("100 %")
    # The choice follows the login, not the device.
    assert ReviewPreferences.objects.get(user=user).keep_zoom


def test_magnifier_shows_the_image_under_the_pointer_and_moves_by_keys(enter: Callable[..., Page]):
    station = station_of(blocks(), plain())
    page = enter(station, station.reviewer())
    item = item_of(page)
    at = image_box(page)
    scale = at["width"] / 200

    def middle_of(column: int, row: int) -> tuple[float, float]:
        return at["x"] + (column + 0.5) * BLOCK * scale, at["y"] + (row + 0.5) * BLOCK * scale

    lens = page.locator("[data-lens]")
    expect(lens).to_be_hidden()
    page.mouse.move(*middle_of(3, 4))
    page.keyboard.down("Space")
    expect(lens).to_be_visible()
    box = lens.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    assert (x, y) == pytest.approx(middle_of(3, 4), abs=1.5)
    assert colour_at(page, x, y) == block_colour(3, 4)
    # More than half a block beside the middle the image shows the next block, the lens still the same.
    assert colour_at(page, x + 0.7 * BLOCK * scale, y) == block_colour(3, 4)
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    moved = lens.bounding_box()
    assert moved and moved["x"] == pytest.approx(box["x"] + 60, abs=1)
    page.keyboard.up("Space")
    expect(lens).to_be_hidden()
    magnifier = page.get_by_role("button", name="Magnifier")
    magnifier.focus()
    page.keyboard.press("Enter")
    expect(lens).to_be_visible()
    expect(magnifier).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowDown")
    lowered = lens.bounding_box()
    assert lowered and lowered["y"] == pytest.approx(moved["y"] + 15, abs=1)
    page.keyboard.press("Escape")
    expect(lens).to_be_hidden()
    assert page.evaluate("scrollY") == 0
    assert item_of(page) == item and not Decision.objects.exists()


def test_adjustments_change_the_screen_until_one_act_resets_them(enter: Callable[..., Page]):
    station = station_of(plain(), plain(1))
    page = enter(station, station.reviewer())
    item_of(page)
    mark = page.locator("[data-adjusted]")
    expect_colour(page, COLOUR)
    expect(mark).to_be_hidden()
    page.keyboard.press("a")
    expect(page.locator('[data-act="adjust"]')).to_have_attribute("aria-expanded", "true")
    set_slider(page, "brightness", 1.5)
    expect(mark).to_be_visible()
    expect_colour(page, (96, 192, 255))
    set_slider(page, "brightness", 1)
    expect(mark).to_be_hidden()
    set_slider(page, "contrast", 2)
    expect_colour(page, (0, 128, 255))
    set_slider(page, "contrast", 1)
    set_slider(page, "gamma", 2)
    expect_colour(page, tuple(round(255 * (value / 255) ** 0.5) for value in COLOUR))
    set_slider(page, "gamma", 1)
    page.get_by_label("Invert").check()
    expect_colour(page, tuple(255 - value for value in COLOUR))
    page.get_by_label("Invert").uncheck()
    page.locator('[data-adjust="channel"][value="blue"]').check()
    expect_colour(page, (192, 192, 192))
    page.locator('[data-adjust="channel"][value="red"]').focus()
    page.keyboard.press("Escape")
    expect(page.locator("[data-adjust-panel]")).to_be_hidden()
    expect(page.locator("[data-stage]")).to_be_focused()
    page.keyboard.press("r")
    expect_colour(page, COLOUR)
    expect(mark).to_be_hidden()
    assert violations_of(page) == []


@pytest.mark.parametrize("stream", [Stream.UNCERTAIN, Stream.AUDIT])
def test_answer_records_the_adjustments_and_the_next_image_is_the_original(
    enter: Callable[..., Page], stream: str
):
    station = station_of(plain(), plain(1), plain(2), stream=stream)
    page = enter(station, station.reviewer())
    item_of(page)
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Tab")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.locator('[data-adjust-value="brightness"]')).to_have_text("125 %")
    page.keyboard.press("Escape")
    press_and_wait(page, "2")
    expect(page.locator("[data-adjusted]")).to_be_hidden()
    expect_colour(page, COLOUR)
    press_and_wait(page, "2")
    expect_saved(page)
    adjusted, original = Decision.objects.order_by("pk")
    assert adjusted.shown["view"] == {"brightness": 1.25}
    assert "view" not in original.shown


def test_kept_adjustments_stay_visible_and_are_recorded_for_each_answer(enter: Callable[..., Page]):
    station = station_of(plain(), plain(1), plain(2))
    page = enter(station, station.reviewer())
    item_of(page)
    page.get_by_role("button", name="View").click()
    page.get_by_label("Keep the adjustments").check()
    page.get_by_label("Invert").check()
    expect(page.locator("[data-stage]")).to_be_focused()  # after a click the keys belong to the image
    press_and_wait(page, "Enter")
    expect(page.locator("[data-adjusted]")).to_be_visible()
    expect(page.locator("[data-said]")).to_contain_text("Adjusted view.")
    press_and_wait(page, "Enter")
    page.get_by_role("button", name="Adjusted view").click()
    press_and_wait(page, "Enter")
    expect_saved(page)
    views = [decision.shown.get("view") for decision in Decision.objects.order_by("pk")]
    assert views == [{"invert": True}, {"invert": True}, None]


def test_letters_stay_text_beside_the_finder_and_shift_arrow_opens_the_view(enter: Callable[..., Page]):
    station = station_of(plain(), plain(1), labels=12)
    page = enter(station, station.reviewer())
    item_of(page)
    panel = page.locator("[data-adjust-panel]")
    for letter in "ar":
        page.keyboard.press(letter)
    expect(page.locator("[data-find]")).to_have_value("ar")
    expect(panel).to_be_hidden()
    page.keyboard.press("Shift+ArrowDown")
    expect(panel).to_be_hidden()  # In a text, Shift with an arrow selects.
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.evaluate(
        """() => document.querySelector("[data-find]").dispatchEvent(new KeyboardEvent("keydown",
        { key: "ArrowDown", shiftKey: true, isComposing: true, bubbles: true }))"""
    )
    expect(panel).to_be_hidden()
    page.keyboard.press("Shift+ArrowDown")
    expect(panel).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("*")
    expect(page.locator("[data-zoom]")).to_have_text("100 %")
    assert not Decision.objects.exists()


@pytest.mark.parametrize("language", ["en", "ja"])
def test_view_is_adjusted_by_touch_on_a_phone(enter: Callable[..., Page], language: str):
    station = station_of(blocks(), plain(1), labels=12)
    phone: dict[str, Any] = {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 3,
    }
    page = enter(station, station.reviewer(), language, **phone)
    item_of(page)
    for selector in ('[data-act="confirm"]', '.station__acts [data-act="skip"]', '[data-act="adjust"]'):
        box = page.locator(selector).bounding_box()
        assert box and box["y"] + box["height"] <= 844 and box["height"] >= 44, selector
    page.locator('[data-act="zoom-actual"]').tap()
    expect(page.locator("[data-zoom]")).to_have_text("100 %")
    page.locator('[data-act="zoom-fit"]').tap()
    page.locator('[data-act="lens"]').tap()
    x, y = middle_of_stage(page)
    page.touchscreen.tap(x - 60, y - 60)
    lens = page.locator("[data-lens]")
    box = lens.bounding_box()
    assert box and box["x"] + box["width"] / 2 == pytest.approx(x - 60, abs=2)
    screenshots.save(page, f"view-lens-{language}-390")
    page.locator('[data-act="lens"]').tap()
    expect(lens).to_be_hidden()
    page.locator('[data-act="adjust"]').tap()
    page.locator("label[for=view-invert]").tap()
    expect(page.locator("[data-adjusted]")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert violations_of(page) == []
    screenshots.save(page, f"view-adjusted-{language}-390")
    page.locator("[data-adjusted]").tap()
    expect(page.locator("[data-adjusted]")).to_be_hidden()
    page.locator('[data-act="adjust"]').tap()
    page.locator("[data-labels-list] button").nth(1).tap()
    expect_saved(page)
    expect(page.locator("[data-history-list] li")).to_have_count(1)
    assert "view" not in Decision.objects.get().shown


@pytest.mark.parametrize("language", ["en", "ja"])
def test_panel_of_the_view_is_on_the_screen(enter: Callable[..., Page], language: str):
    station = station_of(blocks())
    page = enter(station, station.reviewer(), language)
    item_of(page)
    page.keyboard.press("Shift+ArrowDown")
    set_slider(page, "gamma", 0.6)
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+ArrowDown")
    page.locator('[data-act="lens"]').click()
    panel, stage = (page.locator(x).bounding_box() for x in ("[data-adjust-panel]", "[data-stage]"))
    assert panel and stage and panel["y"] >= stage["y"]
    assert page.locator("[data-adjust-panel]").evaluate("box => box.scrollHeight <= box.clientHeight")
    screenshots.save(page, f"view-{language}")
    assert violations_of(page) == []


def test_sections_are_folded_until_a_person_unfolds_them(enter: Callable[..., Page]):
    station = station_of(plain(), plain(1))
    user = station.reviewer()
    page = enter(station, user, viewport={"width": 1280, "height": 800})
    item_of(page)
    sections, button = page.locator(".sections"), page.get_by_role("button", name="Sections")
    expect(sections).to_be_hidden()
    expect(button).to_have_attribute("aria-expanded", "false")
    button.focus()
    page.keyboard.press("Enter")
    expect(sections.get_by_role("link", name="Images")).to_be_visible()
    page.reload()
    item_of(page)
    expect(sections).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(sections).to_be_hidden()
    assert not Decision.objects.exists()
    page.evaluate("id => localStorage.setItem(`mekiki:review:${id}:sections`, '1')", user.pk + 1)
    page.reload()
    expect(sections).to_be_hidden()
