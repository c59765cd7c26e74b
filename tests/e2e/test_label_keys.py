"""The keys of labels in a browser: the station answers by the key, and the labels page keeps the keys."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.labeling.services import archive_label
from mekiki.review.models import Decision
from tests.e2e.station_setup import expect_saved, item_of, press_and_wait, station_with

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.django_db(transaction=True),
]


def test_key_of_a_label_stays_after_another_label_is_archived(enter: Callable[..., Page]) -> None:
    station = station_with(2, labels=4)
    archive_label(label=station.labels[1], user=station.reviewer("admin"))
    page = enter(station, station.reviewer())
    before = item_of(page)
    keys = [key.text_content() for key in page.locator("[data-labels-list] kbd").all()]
    assert keys == ["1", "3", "4"]
    page.keyboard.press("2")
    page.wait_for_timeout(300)
    assert item_of(page) == before and not Decision.objects.exists(), (
        "the key of an archived label does nothing"
    )
    press_and_wait(page, "3")
    expect_saved(page)
    assert Decision.objects.get().label == station.labels[2]


def test_labels_page_does_not_renumber_keys_after_changes(
    enter: Callable[..., Page], live_server: Any
) -> None:
    station = station_with(1, labels=4)
    page = enter(station, station.reviewer("admin"))
    page.goto(f"{live_server.url}/d/{station.dataset.slug}/labels/")
    rows = page.locator("[data-label-rows] [data-label-row]:not([hidden])")
    for n in range(4):
        rows.nth(n).locator('[name$="-prompts"]').fill(f"prompt {n}")
    rows.nth(1).locator("[data-label-remove]").click()
    rows.nth(0).locator("[data-label-down]").click()
    page.locator("[data-label-add]").click()
    rows.last.locator('[name$="-name"]').fill("fresh")
    rows.last.locator('[name$="-prompts"]').fill("fresh")
    keys = [rows.nth(n).locator('[name$="-position"]').input_value() for n in range(rows.count())]
    assert keys[:3] == ["1", "3", "4"], "moving exchanges two keys, removing changes none"
    page.get_by_role("button", name="Save labels and prompts").click()
    expect(page.locator(".messages .notice--good")).to_be_visible()
    names = {label.position: label.name for label in active_labels(station.dataset)}
    first, third, fourth = (station.labels[n].name for n in (0, 2, 3))
    assert names == {1: third, 3: first, 4: fourth, int(keys[-1]): "fresh"}
    assert Label.objects.get(pk=station.labels[1].pk).position == 2
