"""A real Chromium for the tests marked e2e."""

import os
import shutil
from typing import Any

import pytest

# Playwright's synchronous interface runs an event loop in this thread; Django would refuse the ORM beside it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium, quiet; the test is skipped, loudly, without one."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("NO CHROMIUM: `apt-get install chromium fonts-noto-cjk` (make test does it)")
    return {
        **browser_type_launch_args,
        "executable_path": found,
        "headless": True,
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    }
