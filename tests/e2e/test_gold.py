"""An admin marks a gold image; a reviewer answers it, and a hidden repeat, without noticing them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from mekiki.datasets.models import Dataset
from mekiki.review import services
from mekiki.review.models import ConfirmedLabel, Decision, GoldImage, QueueItem
from mekiki.review.reviewer_measures import gold_answers, period_with_newest, repeat_share
from mekiki.review.services import mixing
from tests.e2e.station_setup import expect_saved, image_with_files, item_of, press_and_wait, station_with
from tests.e2e.test_pages import save_screenshot
from tests.factories import PredictionFactory
from tests.roles import set_fixed

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

WORDS = {
    "en": ("Use as a gold image", "I have looked at the image", "Gold images"),
    "ja": ("ゴールド画像にする", "画像を確認しました", "ゴールド画像"),
}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_admin_marks_a_gold_image_and_sees_it_in_the_list(enter: Callable[..., Page], language: str) -> None:
    station = station_with(1, audit_fraction=0.0)
    author = station.reviewer()
    station.answer(author, station.next(author)[0], "correct", label=station.labels[1].pk)
    image = station.items[0].image
    use, looked, title = WORDS[language]
    page = enter(station, station.reviewer("admin"), language)
    site = page.url.split("/d/")[0]
    address = f"{site}/d/{station.dataset.slug}"
    page.goto(f"{address}/images/{image.sha256}/")
    page.get_by_role("button", name=use).click()
    assert not GoldImage.objects.exists(), "a label of one reviewer needs the admin's own confirmation"
    page.get_by_text(looked).click()
    page.get_by_role("button", name=use).click()
    expect(page.locator(".message, .messages, [role=status]").first).to_be_visible()
    gold = GoldImage.objects.get()
    assert gold.source == "expert" and gold.label == station.labels[1]
    save_screenshot(page, f"gold-image-{language}")
    page.goto(f"{address}/review/gold/")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_role("row")).to_have_count(2)
    save_screenshot(page, f"gold-list-{language}")
    assert Axe().run(page).response["violations"] == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    save_screenshot(page, f"gold-list-phone-{language}")
    page.get_by_role("row").nth(1).get_by_role("button").click()
    expect(page.get_by_role("row")).to_have_count(0)
    gold.refresh_from_db()
    assert gold.ended_at is not None
    assert page.problems == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_gold_and_repeats_are_answered_as_any_blind_image(
    enter: Callable[..., Page], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing, "REPEAT_AFTER_ANSWERS", 2)
    station = station_with(4, audit_fraction=0.0, gold_share=0.2, repeat_share=0.2, repeat_days=0)
    admin, author, user = station.reviewer("admin"), station.reviewer(), station.reviewer()
    for who in (author, user, user, user):
        leased = station.next(who)[0]
        station.answer(who, leased, "correct", label=station.labels[1].pk)
        if who is author:
            known = services.mark_gold(
                dataset=station.dataset, user=admin, image_id=leased.item.image_id, expert=True
            )
    queue = [image_with_files(station) for _ in range(6)]
    for image in queue:
        PredictionFactory(head=station.head, image=image, label=station.labels[0])
    monkeypatch.setattr(mixing, "_parts", lambda dataset, now: iter([(user, 1.0)]))
    services.fill_queue(
        dataset=Dataset.objects.get(pk=station.dataset.pk),
        head=station.head,
        image_ids=[image.pk for image in queue],
        streams=["audit"] * 3 + ["uncertain"] * 3,
        propensities=[0.5] * 6,
    )
    tests = {item.pk: item.stream for item in QueueItem.objects.filter(stream__in=["gold", "repeat"])}
    assert sorted(tests.values()) == ["gold", "repeat"]
    labels = list(ConfirmedLabel.objects.order_by("pk").values())
    page = enter(station, user, language)
    page.goto(page.url.split("/d/")[0] + f"/d/{station.dataset.slug}/review/")
    seen: dict[str, list[Any]] = {}
    for _ in range(8):
        item = item_of(page)
        stream = QueueItem.objects.get(pk=item).stream
        panel = page.locator("[data-prediction]").inner_text()
        seen.setdefault(stream, []).append(panel)
        if stream in ("gold", "audit"):
            save_screenshot(page, f"gold-station-{stream}-{language}")
        page.wait_for_timeout(250)
        press_and_wait(page, "1")
    expect_saved(page)
    assert seen["gold"] == seen["repeat"] == [seen["audit"][0]], "a test looks as an image of the audit"
    assert (
        list(ConfirmedLabel.objects.filter(pk__in=[row["id"] for row in labels]).order_by("pk").values())
        == labels
    )
    (gold,) = gold_answers(station.dataset, [user.pk], period_with_newest())
    assert (gold.image, gold.right) == (known.image_id, False)
    repeats = repeat_share(station.dataset, user, period_with_newest())
    assert (repeats.k, repeats.n) == (0, 1)
    set_fixed(Decision.objects.get(pk=gold.decision), created_at=timezone.now() - timedelta(minutes=5))
    assert page.problems == []  # type: ignore[attr-defined]
