"""Two reviewers disagree, and an adjudicator rules by keyboard, in a real Chromium."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from mekiki.accounts.models import Membership
from mekiki.audit.models import Event
from mekiki.labeling.models import Label
from mekiki.learning.services import store_embeddings
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, ReferenceImage
from mekiki.review.services import save_preferences
from tests.e2e.station_setup import image_with_files, station_with
from tests.e2e.test_pages import save_screenshot
from tests.factories import ConfirmedLabelFactory, UserFactory
from tests.review_setup import Station
from tests.roles import set_fixed

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


class Scene:
    """Two disputed images, two similar images with another label, and an adjudicator."""

    def __init__(self) -> None:
        self.station: Station = station_with(2, overlap=2)
        for label, name in zip(self.station.labels, ["scratch", "dent", "stain", "good"], strict=True):
            Label.objects.filter(pk=label.pk).update(name=name, guideline=f"{name}: longer than 2 mm")
        self.reviewers = [self.station.reviewer() for _ in range(2)]
        for number, user in enumerate(self.reviewers):
            for leased in self.station.next(user, 2):
                label = self.station.labels[number]
                self.station.answer(user, leased, "correct", label=label, note=f"note of reviewer {number}")
        self.images = [item.image for item in QueueItem.objects.order_by("pk")]
        self.near = [image_with_files(self.station) for _ in range(2)]
        for image in self.near:
            ConfirmedLabelFactory(dataset=self.station.dataset, image=image, label=self.station.labels[1])
        rows = [*self.images, *self.near]
        for image in rows:
            set_fixed(image, audit_key=0.99)
        encoder = self.station.head.encoder
        angles = np.arange(len(rows)) / 10
        vectors = np.zeros((len(rows), encoder.dim), np.float32)
        vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
        store_embeddings(encoder=encoder, image_ids=[image.pk for image in rows], vectors=vectors)
        self.judge = self.station.reviewer()
        Membership.objects.filter(user=self.judge).update(is_adjudicator=True)

    def open(self, enter: Callable[..., Page], language: str, **options: Any) -> Page:
        page = enter(self.station, self.judge, language, **options)
        page.goto(page.url.replace("/review/", "/review/adjudication/"))
        return page


def check(page: Page, name: str) -> None:
    assert Axe().run(page, options={"preload": False}).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    save_screenshot(page, name)


@pytest.mark.parametrize(
    ("language", "next_words", "saved"),
    [("en", "Next image", "The ruling is recorded"), ("ja", "次の画像", "裁定を記録しました")],
)
def test_adjudicator_rules_by_keyboard_and_sends_similar_images_to_review(
    enter: Callable[..., Page], language: str, next_words: str, saved: str
) -> None:
    scene = Scene()
    page = scene.open(enter, language, viewport={"width": 1280, "height": 800})
    cards = page.locator(".gallery__item")
    expect(cards).to_have_count(2)
    expect(cards.first).to_contain_text("scratch · 1")
    check(page, f"adjudication-{language}")
    cards.first.press("Enter")

    expect(page.locator(".compared__one")).to_have_count(2)
    expect(page.locator(".compared")).to_contain_text("note of reviewer 1")
    for user in scene.reviewers:
        expect(page.locator(".dispute")).not_to_contain_text(user.username)
    page.locator("[data-canvas] img[style]").wait_for()
    page.keyboard.press("g")
    expect(page.locator("[data-guide-panel]")).to_contain_text("longer than 2 mm")
    page.keyboard.press("Escape")
    page.wait_for_timeout(250)  # the image has been looked at
    page.keyboard.press("3")
    expect(page.locator("[data-note]")).to_be_focused()
    check(page, f"dispute-{language}")
    page.keyboard.press("Enter")  # a ruling needs a reason: the browser says so
    assert not Decision.objects.filter(kind="rule").exists()
    page.keyboard.type("stain, because the surface is 2 mm intact")
    page.keyboard.press("Enter")

    expect(page.locator("main, body").first).to_contain_text(saved)
    ruling = Decision.objects.get(kind="rule")
    assert (ruling.label, ruling.note) == (
        scene.station.labels[2],
        "stain, because the surface is 2 mm intact",
    )
    assert ruling.milliseconds and ruling.milliseconds >= 200
    expect(page.locator(".doubt")).to_have_count(2)
    check(page, f"ruled-{language}")
    page.keyboard.press("a")
    expect(page.locator("[aria-labelledby=reference-title]")).to_contain_text("stain")
    reference = ReferenceImage.objects.get()
    assert (reference.label, reference.accepted) == (scene.station.labels[2], True)
    for box in page.locator(".doubt input[type=checkbox]").all():
        box.press(" ")
    page.locator("button[name=act][value=selected]").press("Enter")
    expect(page.locator(".doubt input[type=checkbox]")).to_have_count(0)
    events = Event.objects.filter(kind="queue.asked_again")
    assert {event.data["ruling"] for event in events} == {ruling.pk} and events.count() == 2
    waiting = QueueItem.objects.filter(state="waiting").values_list("image", flat=True)
    assert set(waiting) == {image.pk for image in scene.near}

    page.keyboard.press("z")
    expect(page.locator("[data-rule-form]")).to_be_visible()
    assert not ConfirmedLabel.objects.filter(image=ruling.image).exists()
    page.keyboard.press("n")
    expect(page.get_by_role("link", name=next_words)).to_be_visible()
    assert page.problems == []  # type: ignore[attr-defined]


def test_adjudicator_uses_the_own_keys(enter: Callable[..., Page]) -> None:
    scene = Scene()
    save_preferences(user=scene.judge, layout="left")
    page = scene.open(enter, "en")
    page.locator(".gallery__item").first.press("Enter")
    expect(page.locator("[data-labels-list] kbd")).to_have_text(["Q", "W", "E", "A"])
    expect(page.locator('[data-act="guide"] kbd')).to_have_text("B")
    page.keyboard.press("3")  # fits the image, and chooses no label
    expect(page.locator("[data-rule]")).to_be_disabled()
    page.keyboard.press("b")
    expect(page.locator("[data-guide-panel]")).to_contain_text("longer than 2 mm")
    # The key comes before the browser reports that the dialog is closed, as when a person types fast.
    page.evaluate("""() => {
        document.querySelector("[data-guide-dialog]").close();
        const key = new KeyboardEvent("keydown", { key: "e", code: "KeyE", bubbles: true, cancelable: true });
        document.querySelector("[data-stage]").dispatchEvent(key);
        return new Promise(done => setTimeout(done, 100));
    }""")
    expect(page.locator("[data-note]")).to_be_focused()
    expect(page.locator("[data-rule-text]")).to_contain_text("stain")


def test_other_adjudicator_was_faster_and_the_phone_shows_all(enter: Callable[..., Page]) -> None:
    scene = Scene()
    page = scene.open(enter, "ja", viewport={"width": 390, "height": 844}, has_touch=True)
    check(page, "adjudication-phone")
    page.locator(".gallery__item").first.tap()
    page.locator("[data-canvas] img[style]").wait_for()
    check(page, "dispute-phone")
    root = UserFactory(is_superuser=True, username="root-judge")
    from mekiki.review.services import rule

    rule(
        dataset=scene.station.dataset,
        user=root,
        item_id=int(page.url.rstrip("/").rsplit("/", 1)[1]),
        label_id=scene.station.labels[0].pk,
        note="first",
        client_key="00000000-0000-4000-8000-000000000001",
    )
    page.locator(".station__label").nth(1).tap()
    page.locator("[data-note]").fill("too late")
    page.wait_for_timeout(250)
    page.locator("[data-rule]").tap()
    expect(page.get_by_role("alert")).to_contain_text("root-judge")
    assert Decision.objects.filter(kind="rule").count() == 1
    check(page, "ruled-phone")


def test_admin_sets_overlap_and_names_an_adjudicator(enter: Callable[..., Page]) -> None:
    station = station_with(0)
    admin, reviewer = station.reviewer("admin"), station.reviewer()
    for language, width in (("en", 1280), ("ja", 390)):
        page = enter(station, admin, language, viewport={"width": width, "height": 844})
        page.goto(page.url.replace("/review/", "/review/overlap/"))
        page.locator("input[name=stream-audit]").fill("2")
        check(page, f"overlap-{language}")
        page.locator(".form__actions button").click()
        expect(page.locator("input[name=stream-audit]")).to_have_value("2")
        page.goto(page.url.replace("/review/overlap/", "/members/"))
        check(page, f"adjudicators-{language}")
    page.locator(f"form[action$='/{reviewer.pk}/adjudicator/'] button").click()
    expect(page.locator(f"form[action$='/{reviewer.pk}/adjudicator/'] button")).to_be_visible()
    assert Membership.objects.filter(user=reviewer, is_adjudicator=True).exists()
    page.goto(page.url.replace("/members/", "/review/adjudication/"))
    check(page, "adjudication-empty")
