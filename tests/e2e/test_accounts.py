"""A sensitive action that asks for the password, and the pages of sessions and logins, in a browser."""

from typing import Any

import pytest
from django.db.models import F
from playwright.sync_api import Page, expect

from mekiki.accounts import confirming
from mekiki.accounts.models import Session, User
from tests.e2e import screenshots
from tests.e2e.test_pages import log_in
from tests.factories import PASSWORD, UserFactory

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True)]


def test_an_admin_confirms_and_sees_sessions_and_logins(page: Page, live_server: Any) -> None:
    admin = UserFactory(username="aiko", is_superuser=True, language="ja")
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    log_in(page, live_server, admin, "ja")
    Session.objects.update(created_at=F("created_at") - confirming.RECENT)
    page.goto(f"{live_server.url}/accounts/users/new/")
    page.fill("[name=name]", "hanako")
    page.locator("main form .button--primary").click()
    expect(page.locator("#confirm-password")).to_be_focused()
    screenshots.save(page, "accounts-confirm", full_page=True)
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("[data-password]")).to_be_visible()
    assert User.objects.get(username="hanako").must_change_password
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        for name in ("me", "sessions", "logins", "password", "lost", f"users/{admin.pk}"):
            page.goto(f"{live_server.url}/accounts/{name}/")
            expect(page.locator("h1")).to_be_visible()
            wider = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
            assert not wider, f"{name} is wider than {width} px"
            screenshots.save(page, f"accounts-{name.split('/')[0]}-{width}", full_page=True)
    page.goto(f"{live_server.url}/accounts/sessions/")
    page.locator("main .button--danger").click()
    page.locator("[data-confirm-yes]").click()
    expect(page.locator(".messages")).to_be_visible()
    assert not problems
