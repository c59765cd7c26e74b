"""Single sign-on in Chromium with a real provider: first sign-on, linking, confirming, cancelling."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from playwright.sync_api import Browser, Page, expect

from mekiki.accounts.models import User
from mekiki.audit.models import Event
from tests import oidc
from tests.accounts.test_confirming import age_sessions
from tests.e2e import screenshots
from tests.e2e.axe import violations_of
from tests.factories import PASSWORD, UserFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def idp() -> Iterator[oidc.Provider]:
    with oidc.running_provider() as provider:
        yield provider


def check_page(page: Page, name: str) -> None:
    """Check a page with axe and for sideways scrolling at 390 px, and save pictures of both widths."""
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        screenshots.save(page, f"{name}-{width}", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    violations = violations_of(page)
    assert violations == [], json.dumps(violations, indent=1)[:2000]
    page.set_viewport_size({"width": 1280, "height": 844})


def sign_on_as(page: Page, idp: oidc.Provider, subject: str) -> None:
    """Sign on at the page of the provider."""
    page.wait_for_url(re.compile(re.escape(idp.issuer)))
    page.fill("[name=sub]", subject)
    page.click("text=Authorize >> nth=-1")


@pytest.mark.parametrize("language", ["ja", "en"])
def test_single_sign_on_workflow(
    language: str,
    browser: Browser,
    live_server: Any,
    idp: oidc.Provider,
    settings: Any,
    tmp_path: Path,
) -> None:
    oidc.configure_site(idp, settings, tmp_path, site=live_server.url, OIDC_NEW_ACCOUNTS=True)
    context = browser.new_context(locale={"ja": "ja-JP", "en": "en-GB"}[language], reduced_motion="reduce")
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "console",
        lambda message: problems.append(message.text) if "Content Security" in message.text else None,
    )
    button = page.locator("form[action='/accounts/sign-on/'] button")

    # A cancelled sign-on, then the first sign-on by keyboard, which leads to the requested page.
    page.goto(f"{live_server.url}/accounts/login/?next=/accounts/me/")
    check_page(page, f"sign-on-login-{language}")
    button.press("Enter")
    page.click("text=Deny")
    expect(page).to_have_url(f"{live_server.url}/accounts/login/")
    check_page(page, f"sign-on-cancelled-{language}")
    page.goto(f"{live_server.url}/accounts/login/?next=/accounts/me/")
    idp.user("kei-1", preferred_username="kei@example.com")
    button.press("Enter")
    sign_on_as(page, idp, "kei-1")
    expect(page).to_have_url(f"{live_server.url}/accounts/me/")
    kei = User.objects.get(username="kei@example.com")
    assert not kei.has_usable_password() and not kei.memberships.exists()
    check_page(page, f"sign-on-account-{language}")

    # The only login method cannot be removed. A new sign-on confirms a sensitive action.
    age_sessions()
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("form[action$='/unlink/'] button")
    page.locator("dialog[open] button").last.click()
    expect(page.locator("form[action='/accounts/sign-on/confirm/'] button")).to_be_visible()
    check_page(page, f"sign-on-confirm-{language}")
    idp.user("kei-1", preferred_username="kei@example.com", auth_time=int(time.time()))
    page.click("form[action='/accounts/sign-on/confirm/'] button")
    sign_on_as(page, idp, "kei-1")
    expect(page).to_have_url(f"{live_server.url}/accounts/me/")
    assert Event.objects.get(kind="user.confirmed").data["method"] == "sign_on"
    page.click("form[action$='/unlink/'] button")
    page.locator("dialog[open] button").last.click()
    expect(page.locator(".notice--bad, .message--error, [role=alert]").first).to_be_visible()
    assert SocialAccount.objects.get().user_id == kei.pk
    page.goto(f"{live_server.url}/accounts/sessions/")
    check_page(page, f"sign-on-sessions-{language}")

    # A user with a password links an identity on the account page and logs in with it.
    context.clear_cookies()
    UserFactory(username="aiko")
    page.goto(f"{live_server.url}/accounts/login/?next=/accounts/me/")
    page.fill("[name=username]", "aiko")
    page.fill("[name=password]", PASSWORD)
    page.click("form.card button")
    page.click("form[action='/accounts/sign-on/link/'] button")
    sign_on_as(page, idp, "aiko-1")
    expect(page).to_have_url(f"{live_server.url}/accounts/me/")
    check_page(page, f"sign-on-linked-{language}")
    context.clear_cookies()
    page.goto(f"{live_server.url}/accounts/login/")
    button.click()
    sign_on_as(page, idp, "aiko-1")
    expect(page).to_have_url(f"{live_server.url}/")
    assert Event.objects.filter(kind="user.logged_in").latest("pk").data["methods"] == ["sign_on"]
    assert problems == []
    context.close()
