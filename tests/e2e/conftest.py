"""Fixtures for the tests marked e2e: a real Chromium."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import handlers
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

# Playwright's synchronous interface runs an event loop in this thread, in which Django refuses the ORM.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
# A busy machine is no defect of a page. Milliseconds.
PATIENCE = 300_000
expect.set_options(timeout=PATIENCE)


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
            # The pages of a context share a process, which starts once (ContextPool).
            "--process-per-site",
        ],
    }


@pytest.fixture(scope="session")
def browser(browser: Browser) -> Browser:
    """Give every context the same patience with clicks, texts and addresses."""
    new_context = browser.new_context

    def patient_context(**options: Any) -> BrowserContext:
        context = new_context(**options)
        context.set_default_timeout(PATIENCE)
        return context

    browser.new_context = patient_context  # type: ignore[method-assign]
    return browser


@pytest.fixture(scope="session")
def live_server() -> Iterator[LiveServer]:
    """Run the site in this process, with its own middleware for static files.

    pytest-django's fixture serves them by Django's view for development, without lifetimes. A browser then
    requests a hundred files again for every page.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handlers, "StaticFilesHandler", lambda application: application)
        server = LiveServer("localhost")
    yield server
    server.stop()


def press_as_a_person(page: Page) -> None:
    """Let `page.keyboard.press` pause after a key. Three keys without a pause are a code of a scanner."""
    press = page.keyboard.press

    def press_and_pause(key: str, **options: Any) -> None:
        press(key, **options)
        if len(key) == 1 or key == "Enter":
            page.wait_for_timeout(60)

    page.keyboard.press = press_and_pause  # type: ignore[method-assign]


class ContextPool:
    """Browser contexts that tests use one after another.

    A new context has an empty cache, and the first page in it requests a hundred style sheets and scripts.
    Those are the same for all tests. Everything else that a page leaves is deleted before the next test.
    """

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self._url = browser, url
        self._free: dict[str, list[BrowserContext]] = defaultdict(list)
        self._taken: list[tuple[str, BrowserContext]] = []

    def new_page(self, **options: Any) -> Page:
        """Return an empty page in a context with these options that no other test uses now."""
        key = json.dumps(options, sort_keys=True)
        free = self._free[key]
        context = free.pop() if free else self._new_context(**options)
        self._taken.append((key, context))
        page = context.new_page()
        # A busy browser shows a new page late. The station would take that for a return to a hidden page.
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        session = context.new_cdp_session(page)
        # Local storage and databases of the site, not the cache of the network.
        session.send("Storage.clearDataForOrigin", {"origin": self._url, "storageTypes": "all"})
        session.detach()
        return page

    def _new_context(self, **options: Any) -> BrowserContext:
        """Return a context with one page, which keeps its process for the pages to come."""
        context = self._browser.new_context(**options)
        context.new_page().goto(f"{self._url}/healthz")
        return context

    def give_back(self) -> None:
        """Close the pages of the test, and keep its contexts for the next."""
        for key, context in self._taken:
            for page in context.pages[1:]:
                page.close()
            context.clear_cookies()
            context.clear_permissions()
            context.set_offline(False)
            self._free[key].append(context)
        self._taken.clear()


@pytest.fixture(scope="session")
def context_pool(browser: Browser, live_server: LiveServer) -> ContextPool:
    return ContextPool(browser, live_server.url)


@pytest.fixture
def page(context_pool: ContextPool, browser_context_args: dict[str, Any]) -> Iterator[Page]:
    """Return an empty page in a browser context of its own."""
    yield context_pool.new_page(**browser_context_args)
    context_pool.give_back()


@pytest.fixture
def enter(context_pool: ContextPool, live_server: LiveServer) -> Iterator[Callable[..., Page]]:
    """Return a function that opens the station as a user in a browser context of its own."""

    def open_station(station: Any, user: Any, language: str = "en", **options: Any) -> Page:
        client = Client()
        client.force_login(user)
        # An animation, for example of a progress bar, would be painted all the time.
        page = context_pool.new_page(**{"reduced_motion": "reduce", **options})
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        cookies = {settings.SESSION_COOKIE_NAME: cookie, settings.LANGUAGE_COOKIE_NAME: language}
        page.context.add_cookies(
            [{"name": k, "value": v, "url": live_server.url} for k, v in cookies.items()]
        )
        press_as_a_person(page)
        page.problems = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.problems.append(str(error)))  # type: ignore[attr-defined]
        page.goto(f"{live_server.url}/d/{station.dataset.slug}/review/")
        return page

    yield open_station
    context_pool.give_back()
