"""Fixtures for the tests marked e2e: a real Chromium."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect

# Playwright's synchronous interface runs an event loop in this thread, in which Django refuses the ORM.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
# A busy machine is no defect of a page.
expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Use the system's Chromium without a window, or skip the test with a reason.

    Debian's `chromium-headless-shell` is the same browser without menus and tabs, which costs half the time
    of a processor for a short test.
    """
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not program:
        pytest.skip("NO CHROMIUM: `make chromium` installs it")
    return {
        **browser_type_launch_args,
        "executable_path": program,
        "headless": True,
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    }


def press_as_a_person(page: Page) -> None:
    """Let `page.keyboard.press` pause after a key. Three keys without a pause are a code of a scanner."""
    press = page.keyboard.press

    def press_and_pause(key: str, **options: Any) -> None:
        press(key, **options)
        if len(key) == 1 or key == "Enter":
            page.wait_for_timeout(60)

    page.keyboard.press = press_and_pause  # type: ignore[method-assign]


@pytest.fixture
def enter(browser: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """Return a function that opens the station as a user in a new browser context."""
    contexts: list[BrowserContext] = []

    def open_station(station: Any, user: Any, language: str = "en", **options: Any) -> Page:
        client = Client()
        client.force_login(user)
        # An animation, for example of a progress bar, would be painted all the time.
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        cookies = {settings.SESSION_COOKIE_NAME: cookie, settings.LANGUAGE_COOKIE_NAME: language}
        context.add_cookies([{"name": k, "value": v, "url": live_server.url} for k, v in cookies.items()])
        page = context.new_page()
        press_as_a_person(page)
        page.problems = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
        page.goto(f"{live_server.url}/d/{station.dataset.slug}/review/")
        return page

    yield open_station
    for context in contexts:
        context.close()
