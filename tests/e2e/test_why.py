"""The panel Why in a browser: neighbours, prompts, heat map, what an answer records, and blind images."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect

from mekiki.datasets.models import Dataset
from mekiki.jobs import broker
from mekiki.learning.explaining import heat_maps, prompts
from mekiki.learning.models import HeatMap
from mekiki.review.models import Decision, Lease, Stream
from tests.e2e.station_setup import expect_saved, image_with_files, item_of, open_again, press_and_wait
from tests.e2e.test_pages import save_screenshot
from tests.why_setup import WhyStation

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


class WhyStationWithFiles(WhyStation):
    """A station whose images can be loaded."""

    def image(self, **more: Any) -> Any:
        return self.embed(image_with_files(self))


class SearchWorker:
    """A stand-in for the search worker that answers the messages of this process, unless `idle` is set."""

    def __init__(self) -> None:
        self.idle = False
        self.drawn = 0

    def send(self, task: str, args: list[Any], *, queue: str | None = None) -> bool:
        if task.endswith("embed_prompts"):
            rows = prompts.waiting_prompts(*args)
            vectors = np.random.default_rng(1).standard_normal((len(rows), 8))
            prompts.record_prompt_vectors(rows=rows, vectors=vectors)
        if task.endswith("draw_heat_map") and not self.idle:
            self.draw(heat_maps.waiting_heat_map(*args))
        return True

    def draw(self, row: HeatMap | None) -> None:
        assert row is not None
        self.drawn += 1
        values = np.full((8, 8), -0.1)
        values[:3, :3] = 1.0  # in the upper left
        heat_maps.record_heat_map(
            row=row,
            values=values,
            method="occlusion",
            view=(0.0, 0.0, 1.0, 1.0),
            lead=2.0,
            blurred_lead=-1.0,
            energy=np.eye(4),
        )


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> SearchWorker:
    stand_in = SearchWorker()
    monkeypatch.setattr(broker, "send", stand_in.send)
    return stand_in


def test_image_whose_lease_ended_is_leased_again(enter: Callable[..., Page], worker: SearchWorker) -> None:
    """The release of a page that is reloaded can arrive after the new page has its images."""
    station = WhyStationWithFiles(items=2, near=2)
    page = enter(station, station.reviewer())
    item_of(page)
    Lease.objects.update(ended_at=timezone.now())
    page.keyboard.press("w")
    expect(page.locator("[data-why] .why__tile")).to_have_count(4)
    item_of(page)
    assert page.problems == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("language", "title", "where", "blind"),
    [
        ("en", "Why this prediction", "in the upper left", "No prediction is shown"),
        ("ja", "この予測の理由", "左上", "この画像では予測を表示しません"),
    ],
)
def test_reviewer_looks_at_the_reasons_by_keyboard_and_the_answer_records_them(
    enter: Callable[..., Page], worker: SearchWorker, language: str, title: str, where: str, blind: str
) -> None:
    station = WhyStationWithFiles(items=1, near=4, labels=4, prompts_known=False)
    station.item(stream=Stream.AUDIT, image=station.image(), predicted=False)
    Dataset.objects.update(use_detail=True)
    user = station.reviewer()
    page = enter(station, user, language, viewport={"width": 1280, "height": 800})
    item_of(page)
    panel = page.locator("[data-why]")
    expect(panel).to_be_hidden()
    page.keyboard.press("w")
    expect(panel).to_contain_text(title)
    expect(panel.locator(".why__tile")).to_have_count(8)
    expect(panel.locator(".why__prompts li")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")

    # The heat map is computed: its state is shown, and a second request makes no second map.
    worker.idle = True
    page.keyboard.press("m")
    expect(panel.locator("[data-heat-progress]")).to_be_visible()
    save_screenshot(page, f"why-computing-{language}")
    worker.idle = False
    worker.draw(HeatMap.objects.select_related("head__encoder").get())
    expect(panel.locator("[data-heat-words]")).to_contain_text(where)
    layer, image = page.locator(".why-layer"), page.locator("[data-canvas] img")
    assert boxes(layer) == boxes(image)
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    assert boxes(layer) == boxes(image)
    page.keyboard.press("]")
    expect(layer).to_have_css("opacity", "0.75")
    violations = Axe().run(page, options={"preload": False}).response["violations"]
    assert violations == [], violations
    save_screenshot(page, f"why-{language}")
    # The fine structure in place of the heat map, and back.
    structure = panel.locator("[data-heat-structure]")
    structure.click()
    expect(panel.locator("[data-heat-words]")).to_contain_text("50 %")
    expect(panel.locator("[data-heat-against]")).to_be_hidden()
    expect(structure).to_have_attribute("aria-pressed", "true")
    assert boxes(layer) == boxes(image)
    save_screenshot(page, f"why-structure-{language}")
    structure.click()
    expect(panel.locator("[data-heat-words]")).to_contain_text(where)

    # A neighbour beside the image, at one scale.
    panel.locator(".why__tile").first.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("[data-why-compare]")
    expect(dialog.locator("img")).to_have_count(2)
    page.keyboard.press("+")
    widths = {boxes(one)[2:] for one in dialog.locator("img").all()}
    assert len(widths) == 1
    save_screenshot(page, f"why-compare-{language}")
    page.keyboard.press("PageDown")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.wait_for_timeout(300)

    press_and_wait(page, "Enter")
    expect_saved(page)
    why = Decision.objects.get(item__isnull=False).shown["why"]
    row = HeatMap.objects.get()
    assert why["heat_map"] | {"energy": ""} == {"method": "occlusion", "digest": row.digest, "energy": ""}
    assert len(why["heat_map"]["energy"]) == 64
    assert len(why["neighbours"]) == 8 and len(why["prompts"]) == 2 and worker.drawn == 1

    # The next image is blind: the open panel says why it is empty, and the server has made no panel.
    expect(panel).to_contain_text(blind)
    expect(panel.locator(".why__tile")).to_be_hidden() if panel.locator(".why__tile").count() == 1 else None
    expect(page.locator(".why-layer")).to_have_count(0)
    page.keyboard.press("m")
    save_screenshot(page, f"why-blind-{language}")
    page.keyboard.press("1")
    expect_saved(page)
    page.wait_for_selector("[data-empty]:not([hidden])")
    assert "why" not in Decision.objects.filter(item__isnull=False).latest("pk").shown
    assert page.problems == []  # type: ignore[attr-defined]


def boxes(element: Any) -> tuple[int, ...]:
    box = element.bounding_box()
    return round(box["x"]), round(box["y"]), round(box["width"]), round(box["height"])


def test_panel_on_a_phone_stays_open_for_the_session_and_closes_by_its_button(
    enter: Callable[..., Page], worker: SearchWorker
) -> None:
    station = WhyStationWithFiles(items=2, near=2)
    page = enter(station, station.reviewer(), "ja", viewport={"width": 390, "height": 844}, has_touch=True)
    item_of(page)
    page.locator('[data-act="why"]').tap()
    panel = page.locator("[data-why]")
    expect(panel.locator(".why__tile")).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    panel.locator("[data-heat-button]").tap()
    expect(page.locator(".why-layer")).to_have_count(1)
    panel.scroll_into_view_if_needed()
    save_screenshot(page, "why-phone")
    open_again(page)
    item_of(page)
    expect(panel.locator(".why__tile")).to_have_count(4)  # of the tab's session
    panel.locator("[data-why-close]").tap()
    expect(panel).to_be_hidden()
    press_and_wait(page, "Enter")
    expect_saved(page)
    assert "why" not in Decision.objects.get(item__isnull=False).shown  # closed at the answer


@pytest.mark.parametrize("language", ["en", "ja"])
def test_page_of_an_image_has_the_panel_unless_the_image_is_blind(
    enter: Callable[..., Page], live_server: Any, worker: SearchWorker, language: str
) -> None:
    station = WhyStationWithFiles(items=1)
    blind = station.item(stream=Stream.AUDIT, image=station.image()).image
    page = enter(station, station.reviewer("viewer"), language, viewport={"width": 1280, "height": 800})
    address = live_server.url + reverse("image", args=[station.dataset.slug, station.items[0].image.sha256])
    page.goto(address)
    page.locator("[data-why-button]").click()
    panel = page.locator("[data-why]")
    expect(panel.locator(".why__tile")).to_have_count(6)
    panel.locator("[data-heat-button]").click()
    expect(page.locator(".why-layer")).to_have_count(1)
    assert boxes(page.locator(".why-layer")) == boxes(page.locator("[data-why-image]"))
    assert Axe().run(page).response["violations"] == []
    save_screenshot(page, f"why-image-page-{language}")
    page.goto(live_server.url + reverse("image", args=[station.dataset.slug, blind.sha256]))
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("[data-why], [data-why-button], [data-why-compare]")).to_have_count(0)
    assert page.problems == []  # type: ignore[attr-defined]
