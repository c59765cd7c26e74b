"""Pictures of pages for the person who runs the tests."""

import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

FOLDER = Path(__file__).parent / "screenshots"


def save(view: Page | Locator, name: str, **options: Any) -> None:
    """Save a picture to tests/e2e/screenshots/NAME.png if MEKIKI_TEST_SCREENSHOTS is set."""
    if os.environ.get("MEKIKI_TEST_SCREENSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        view.screenshot(path=FOLDER / f"{name}.png", **options)
