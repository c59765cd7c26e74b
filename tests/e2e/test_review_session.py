"""Goal, break and preferences of a reviewer in a browser; an idle station; scanners and pedals."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Page, expect

from mekiki.audit.models import Event
from mekiki.jobs.models import Job
from mekiki.review.models import Decision, Lease, ReviewPreferences
from mekiki.review.services import save_preferences
from tests.e2e import screenshots
from tests.e2e.station_setup import (
    expect_item,
    expect_saved,
    item_of,
    press_and_wait,
    station_with,
)
from tests.e2e.test_review_finder import station_with_names
from tests.e2e.test_review_keys import press_code

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def log_in(page: Page, user: Any) -> None:
    """Give the browser of the page the session of another user."""
    client = Client()
    client.force_login(user)
    page.context.add_cookies(
        [
            {
                "name": settings.SESSION_COOKIE_NAME,
                "value": client.cookies[settings.SESSION_COOKIE_NAME].value,
                "url": page.evaluate("location.origin"),
            }
        ]
    )


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("ja", 390)])
def test_goal_is_reached_with_one_quiet_sentence(enter: Callable[..., Page], language: str, width: int):
    station = station_with(6)
    user = station.reviewer()
    page = enter(station, user, language, viewport={"width": width, "height": 800})
    press_and_wait(page, "Enter")
    page.locator('[data-act="session"]').click()
    page.locator("[data-goal]").fill("2")
    page.keyboard.press("Enter")
    expect(page.locator("[data-goal-text]")).to_have_text("0 / 2")
    item = item_of(page)
    page.wait_for_timeout(300)
    before = page.locator("[data-labels-list]").bounding_box()
    press_and_wait(page, "2")
    expect(page.locator("[data-quiet]")).to_be_hidden()
    press_and_wait(page, "2")
    expect(page.locator("[data-quiet]")).to_be_visible()
    expect(page.locator("[data-goal-text]")).to_have_text("2 / 2")
    # Nothing moves, and the keyboard still belongs to the image.
    assert page.locator("[data-labels-list]").bounding_box() == before
    assert page.evaluate("document.activeElement.hasAttribute('data-stage')")
    screenshots.save(page, f"review-goal-{language}")
    page.keyboard.press("z")
    expect(page.locator("[data-goal-text]")).to_have_text("1 / 2")
    expect_saved(page)
    page.reload()
    item_of(page)
    expect(page.locator("[data-goal-text]")).to_have_text("1 / 2")
    assert ReviewPreferences.objects.get(user=user).goal == 2 and item


def test_break_is_suggested_after_work_and_can_wait(enter: Callable[..., Page]):
    station = station_with(3)
    user = station.reviewer()
    save_preferences(user=user, break_minutes=5)
    page = enter(station, user)
    page.clock.install()
    page.reload()
    page.clock.run_for(1_000)
    for _ in range(9):
        page.keyboard.press("Shift")
        page.clock.run_for(45_000)
    quiet = page.locator("[data-quiet]")
    expect(quiet).to_contain_text("You have worked for")
    assert page.evaluate("document.querySelector('[data-quiet]').contains(document.activeElement)") is False
    page.locator("[data-quiet-later]").click()
    expect(quiet).to_be_hidden()
    for _ in range(3):
        page.keyboard.press("Shift")
        page.clock.run_for(45_000)
    expect(quiet).to_be_hidden()
    for _ in range(12):
        page.keyboard.press("Shift")
        page.clock.run_for(45_000)
    expect(quiet).to_be_visible()
    assert Decision.objects.count() == 0


def test_next_login_at_the_same_station_has_its_own_preferences_and_answers(enter: Callable[..., Page]):
    station = station_with(6)
    first, second = station.reviewer(), station.reviewer()
    save_preferences(user=first, layout="left", keep_zoom=True, single_keys=False)
    page = enter(station, first)
    item = item_of(page)
    # Answers that the server does not get stay on this device, with the person who gave them.
    page.route("**/review/answer", lambda route: route.abort())
    press_and_wait(page, "Enter")
    expect(page.locator("[data-sync]")).to_have_attribute("data-state", "offline")
    assert not page.locator("[data-keys-on]").is_checked()
    log_in(page, second)
    page.unroute("**/review/answer")
    page.reload()
    item_of(page)
    assert page.locator("[data-keys-on]").is_checked()
    assert not page.locator("[data-keep-zoom]").is_checked()
    expect(page.locator("[data-history-list] li")).to_have_count(0)
    press_and_wait(page, "2")
    expect_saved(page)
    assert list(Decision.objects.values_list("user", "kind")) == [(second.pk, "correct")]
    log_in(page, first)
    page.reload()
    item_of(page)
    expect_saved(page)
    for _ in range(100):
        if Decision.objects.count() == 2:
            break
        page.wait_for_timeout(50)
    assert Decision.objects.filter(user=first, item=item, kind="confirm").count() == 1
    assert page.locator("[data-keep-zoom]").is_checked()


def test_idle_station_creates_no_jobs_and_no_events_and_does_not_flicker(enter: Callable[..., Page]):
    station = station_with(1)
    user = station.reviewer()
    page = enter(station, user)
    press_and_wait(page, "Enter")
    expect(page.locator("[data-empty]")).to_be_visible()
    expect_saved(page)
    page.clock.install()
    page.evaluate(
        """() => {
          window.changes = [];
          // An attribute that is set to the value it has changes nothing on the screen.
          const changed = one => one.type !== "attributes" ||
            one.oldValue !== one.target.getAttribute(one.attributeName);
          new MutationObserver(list =>
            window.changes.push(...list.filter(changed).map(one => one.target.outerHTML))
          ).observe(document.querySelector("[data-station]"), { subtree: true, childList: true,
            characterData: true, attributeOldValue: true, attributeFilter: ["hidden", "class"] });
        }"""
    )
    events, jobs, leases = Event.objects.count(), Job.objects.count(), Lease.objects.count()
    with page.expect_response("**/review/next", timeout=30_000):
        page.wait_for_timeout(100)
        page.clock.run_for(120_000)
    page.wait_for_timeout(500)
    changes = page.evaluate("window.changes")
    assert changes == [], changes
    assert (Event.objects.count(), Job.objects.count(), Lease.objects.count()) == (events, jobs, leases)


def scan(page: Page, code: str) -> None:
    """Type as a barcode scanner does: 20 ms for each key, then Enter."""
    page.evaluate(
        """async code => {
          // The times of a real keyboard come from its driver, not from the page.
          const begun = performance.now();
          const send = (key, n) => {
            const target = document.activeElement ?? document.body;
            const upper = key.toUpperCase();
            const letter = /^[A-Z]$/.test(upper);
            const place = letter ? `Key${upper}` : /[0-9]/.test(key) ? `Digit${key}` : key;
            const event = new KeyboardEvent("keydown",
              { key, code: place, bubbles: true, cancelable: true });
            Object.defineProperty(event, "timeStamp", { value: begun + 20 * n });
            if (!target.dispatchEvent(event)) return;
            if (target.matches("input") && key.length === 1) {
              target.value += key;
              target.dispatchEvent(new InputEvent("input", { bubbles: true, data: key }));
            }
          };
          for (const [n, key] of [...code, "Enter"].entries()) {
            send(key, n);
            await new Promise(done => setTimeout(done, 20));
          }
        }""",
        code,
    )


def test_scanner_names_a_label_and_triggers_no_command(enter: Callable[..., Page]):
    codes = ("scratch", "zinc flake", "12 bent", "fold")
    station = station_with_names(("good", *codes, "rust"), items=len(codes) + 1)
    page = enter(station, station.reviewer())
    expected = []
    for code, following in zip(codes, station.items[1:], strict=True):
        page.wait_for_timeout(300)
        expected.append((item_of(page), code))
        scan(page, code)
        # The first keys may have acted for a moment; the answer comes once the image was looked at again.
        expect(page.locator("[data-history-list] button").first).to_contain_text(code)
        expect_saved(page)
        assert list(Decision.objects.order_by("pk").values_list("item", "label__name")) == expected
        assert page.locator("dialog[open]").count() == 0
        expect_item(page, following.pk)


def test_unknown_code_of_a_scanner_records_nothing(enter: Callable[..., Page]):
    station = station_with_names(("good", "scratch", "fold"))
    page = enter(station, station.reviewer())
    first = item_of(page)
    page.wait_for_timeout(300)
    scan(page, "1234567")
    expect(page.locator("[data-hint]")).to_contain_text("No label has the code")
    expect_item(page, first)
    page.wait_for_timeout(500)
    assert Decision.objects.count() == 0


def test_scanner_types_into_the_finder_of_many_labels(enter: Callable[..., Page]):
    names = ("crack 2", "crack", *(f"defect {chr(97 + n)}" for n in range(10)))
    station = station_with_names(names)
    page = enter(station, station.reviewer())
    item_of(page)
    page.wait_for_timeout(300)
    scan(page, "crack")
    expect(page.locator("[data-history-list] button")).to_have_count(1)
    expect_item(page, station.items[1].pk)
    expect_saved(page)
    assert Decision.objects.get().label.name == "crack"  # type: ignore[union-attr]


def test_pedals_and_own_keys_beside_a_finder(enter: Callable[..., Page]):
    station = station_with_names(("good", *(f"scratch {chr(97 + n)}" for n in range(11))))
    user = station.reviewer()
    keys: Any = {
        "confirm": {"code": "F13", "text": "F13"},
        "skip": {"code": "F14", "text": "F14"},
        "flag": {"code": "KeyX", "text": "X"},
    }
    save_preferences(user=user, keys=keys)
    page = enter(station, user)
    first = item_of(page)
    expect(page.locator('[data-act="skip"] kbd').first).to_have_text("F14")
    expect(page.locator('[data-act="flag"] kbd').first).to_have_text("Shift+↑")  # X is text here
    page.wait_for_timeout(300)
    press_code(page, "F13", "F13")
    expect(page.locator("[data-station]")).not_to_have_attribute("data-item", str(first))
    second = item_of(page)
    page.wait_for_timeout(300)
    page.keyboard.type("x")
    expect(page.locator("[data-find]")).to_have_value("x")
    press_code(page, "F13", "F13")  # text in the finder: the pedal does nothing
    page.keyboard.press("Escape")
    expect_item(page, second)
    press_code(page, "F14", "F14")
    expect(page.locator("[data-skip-dialog]")).to_be_visible()
    press_code(page, "F14", "F14")
    expect(page.locator("[data-skip-dialog]")).to_be_hidden()
    expect_saved(page)
    assert [d.kind for d in Decision.objects.order_by("pk")] == ["confirm", "skip"]
    assert Decision.objects.order_by("pk")[0].item_id == first
