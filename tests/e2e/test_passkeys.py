"""A passkey is added and logs in, alone and as the second step, with a virtual authenticator."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from mekiki.accounts.second_factor import selectors
from mekiki.audit.models import Event
from tests.accounts.test_confirming import age_sessions
from tests.e2e import screenshots
from tests.e2e.axe import violations_of
from tests.factories import PASSWORD, UserFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def check_page(page: Page, name: str) -> None:
    """Check a page with axe and for sideways scrolling at 390 px, and save pictures of both widths."""
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        screenshots.save(page, f"{name}-{width}", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    violations = violations_of(page)
    assert violations == [], json.dumps(violations, indent=1)[:2000]
    page.set_viewport_size({"width": 1280, "height": 844})


def test_passkey_is_added_and_used_for_login_and_confirmation(browser: Browser, live_server: Any) -> None:
    user = UserFactory(username="aiko", language="ja")
    context = browser.new_context(locale="ja-JP", reduced_motion="reduce")
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security" in message.text else None,
    )
    devices = context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    device = devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def first_step() -> None:
        page.goto(f"{live_server.url}/accounts/login/?next=/accounts/second-factor/")
        page.fill("[name=username]", "aiko")
        page.fill("[name=password]", PASSWORD)
        page.click("form.card button")

    def log_out() -> None:
        page.locator("details.menu summary").last.click()
        page.locator("form[action='/accounts/logout/'] button").click()
        expect(page.locator("[name=username]")).to_be_visible()

    first_step()
    check_page(page, "second-factor-none")
    page.goto(f"{live_server.url}/accounts/second-factor/app/")
    check_page(page, "second-factor-app")
    page.goto(f"{live_server.url}/accounts/second-factor/passkey/")
    check_page(page, "second-factor-passkey")
    page.fill("[name=name]", "作業台のPC")
    page.locator("[data-passkey] button").press("Enter")
    expect(page.locator("[data-codes]")).to_be_visible()
    check_page(page, "second-factor-codes")
    codes = page.locator("[data-codes]").inner_text().split()
    with page.expect_download() as download:
        page.click("[data-codes-save]")
    assert all(code in download.value.path().read_text() for code in codes) and len(codes) == 10
    page.goto(f"{live_server.url}/accounts/second-factor/")
    expect(page.locator("main input[name=name]")).to_have_value("作業台のPC")
    check_page(page, "second-factor-set")

    log_out()
    check_page(page, "login")
    page.click("[data-passkey=login] button")
    expect(page).to_have_url(f"{live_server.url}/")
    assert Event.objects.filter(kind="user.logged_in").latest("pk").data["methods"] == ["passkey"]

    log_out()
    first_step()
    expect(page).to_have_url(f"{live_server.url}/accounts/login/code/")
    check_page(page, "second-step")
    page.click("[data-passkey=answer] button")
    expect(page).to_have_url(f"{live_server.url}/accounts/second-factor/")
    assert Event.objects.filter(kind="user.logged_in").latest("pk").data["methods"] == ["password", "passkey"]

    # The passkey confirms a sensitive action, which is done at once.
    age_sessions()
    page.click("form[action='/accounts/second-factor/codes/'] button")
    page.locator("dialog[open] button").last.click()
    expect(page.locator("form[data-passkey=answer] button")).to_be_visible()
    check_page(page, "confirm-passkey")
    page.click("form[data-passkey=answer] button")
    expect(page.locator("[data-codes]")).to_be_visible()
    assert Event.objects.get(kind="user.confirmed").data["method"] == "passkey"

    # Another key for the same account is refused, and the page stays usable after a refused key.
    devices.send("WebAuthn.clearCredentials", {"authenticatorId": device})
    log_out()
    page.click("[data-passkey=login] button")
    expect(page.locator("[data-passkey-problem]")).to_be_visible()
    expect(page.locator("[data-passkey=login] button")).to_be_enabled()
    assert len(selectors.factors_of(user).passkeys) == 1
    assert problems == []
