"""The layout of the review station: an answer needs no scrolling, and labels keep their places."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mekiki.labeling.models import Label
from mekiki.review.models import Stream
from tests.e2e import screenshots
from tests.e2e.axe import violations_of
from tests.e2e.station_setup import (
    close_guide,
    expect_saved,
    image_with_files,
    press_and_wait,
    station_with,
)
from tests.review_setup import Station

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
]

NAMES = (
    *("good", "scratch", "rolled-in scale with a long name", "pitted surface", "打痕"),
    "圧延による表面の割れ",
    *("inclusion", "crazing", "patches", "oil spot", "water mark", "edge crack"),
)
NEEDED = (
    ".station__canvas img",
    "[data-prediction]",
    '[data-act="confirm"]',
    '.station__acts [data-act="skip"]',
    '.station__acts [data-act="flag"]',
    '.station__acts [data-act="undo"]',
    ".station__tools button:last-child",
)


def station_to_measure(labels: int) -> Station:
    """Create two predicted items, a blind one, and a predicted one, with long and critical labels."""
    station = station_with(2, labels=labels)
    station.items.append(station.item(stream=Stream.AUDIT, image=image_with_files(station)))
    station.items.append(station.item(image=image_with_files(station)))
    for n, label in enumerate(station.labels):
        name = NAMES[n] if n < len(NAMES) else f"defect of kind {n}"
        guideline = "Longer than 2 mm, or deeper than the coating. 長さ2mm以上。" if n % 2 else ""
        Label.objects.filter(pk=label.pk).update(name=name, guideline=guideline, critical=n % 5 == 1)
    return station


def boxes(page: Page, selector: str) -> list[tuple[float, ...]]:
    """Return left, top, right and bottom of the visible elements, in CSS pixels of the window."""
    return [
        tuple(box)
        for box in page.locator(selector).evaluate_all(
            """elements => elements.map(element => element.getBoundingClientRect())
            .map(box => [box.left, box.top, box.right, box.bottom])"""
        )
    ]


def outside(page: Page, selectors: tuple[str, ...], width: int, height: int) -> list[Any]:
    """Return what is not wholly inside the window, or has no size."""
    found: list[Any] = []
    for selector in selectors:
        places = boxes(page, selector)
        assert places, selector
        for left, top, right, bottom in places:
            inside = left >= 0 and top >= 0 and right <= width and bottom <= height
            if not inside or right - left < 1 or bottom - top < 1:
                found.append((selector, left, top, right, bottom))
    return found


def is_cut(page: Page) -> bool:
    """Return whether the line of the prediction has more text than room."""
    box = page.locator("[data-prediction]")
    return bool(
        box.evaluate("box => box.scrollHeight > box.clientHeight || box.scrollWidth > box.clientWidth")
    )


@pytest.mark.parametrize(
    ("width", "height", "labels", "language", "theme"),
    [
        # Every pair of a size, a language and a theme.
        (1280, 800, 12, "en", "light"),
        (1280, 800, 12, "ja", "dark"),
        (1920, 1080, 30, "en", "dark"),
        (1920, 1080, 30, "ja", "light"),
    ],
)
def test_all_that_an_answer_needs_is_on_the_screen(
    enter: Callable[..., Page], width: int, height: int, labels: int, language: str, theme: str
):
    station = station_to_measure(labels)
    page = enter(
        station,
        station.reviewer(),
        language,
        viewport={"width": width, "height": height},
        color_scheme=theme,
    )
    close_guide(page)
    needed = (*NEEDED, "[data-labels-list] button", "[data-find]")
    assert outside(page, needed, width, height) == []
    places = boxes(page, "[data-labels-list] button")
    assert len(places) == labels
    assert len(set(places)) == labels
    assert page.evaluate("document.documentElement.scrollHeight") == height, "the page does not scroll"
    scrolled = "box => box.scrollHeight > box.clientHeight"
    assert not page.locator("[data-labels-list]").evaluate(scrolled), "a label is hidden in its list"
    screenshots.save(page, f"layout-{labels}-{language}-{theme}")
    assert violations_of(page) == []
    press_and_wait(page, "Enter")
    press_and_wait(page, "Enter")
    expect(page.locator("[data-prediction] .station__blind")).to_be_visible()
    assert outside(page, tuple(x for x in needed if "confirm" not in x), width, height) == []
    assert not is_cut(page)
    assert boxes(page, "[data-labels-list] button") == places
    screenshots.save(page, f"layout-{labels}-{language}-{theme}-blind")
    press_and_wait(page, "2")
    expect(page.locator("[data-prediction] .station__line")).to_be_visible()
    assert boxes(page, "[data-labels-list] button") == places
    expect_saved(page)


# The number of labels on the screen, and the texts of those that something else covers, also in part.
LABELS_ON_SCREEN = """() => {
    const on = [...document.querySelectorAll("[data-labels-list] button")].filter(one => {
        const box = one.getBoundingClientRect();
        return box.top >= 0 && box.bottom <= innerHeight;
    });
    const covered = on.filter(one => {
        const box = one.getBoundingClientRect();
        return [box.top + 4, box.bottom - 4].some(
            y => !one.contains(document.elementFromPoint((box.left + box.right) / 2, y)));
    });
    return [on.length, covered.map(one => one.textContent.trim())];
}"""


@pytest.mark.parametrize("language", ["en", "ja"])
def test_labels_keep_their_places_on_a_phone(enter: Callable[..., Page], language: str):
    station = station_to_measure(12)
    page = enter(
        station,
        station.reviewer(),
        language,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    )
    close_guide(page)
    places = boxes(page, "[data-labels-list] button")
    acts = tuple(x for x in NEEDED if "acts" in x or "confirm" in x)
    assert outside(page, acts, 390, 844) == []
    screenshots.save(page, f"layout-phone-{language}")
    shown, covered = page.evaluate(LABELS_ON_SCREEN)
    assert covered == [], "the acts cover labels"
    assert shown >= 4, "two rows of labels are on the screen without scrolling"
    press_and_wait(page, "Enter")
    press_and_wait(page, "Enter")
    expect(page.locator("[data-prediction] .station__blind")).to_be_visible()
    assert not is_cut(page)
    assert boxes(page, "[data-labels-list] button") == places
    assert outside(page, tuple(x for x in acts if "confirm" not in x), 390, 844) == []
