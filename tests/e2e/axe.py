"""The accessibility check of a page with axe."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# "preload" would copy the style sheets into the page, and the strict CSP would report errors. axe checks all
# rules whatever "resultTypes" is. It names the results with a complete list of elements. With all types, axe
# would also list all elements that pass, and that takes longer than the check. Elements are named by their
# HTML, so no selectors are computed.
CHECK = """() => axe.run(document, { preload: false, selectors: false, resultTypes: ["violations"] })
    .then((results) => results.violations)"""


def violations_of(page: Page) -> list[dict[str, Any]]:
    """Return the accessibility rules that the page violates, with all elements that violate them."""
    page.evaluate(AXE_SCRIPT)
    violations: list[dict[str, Any]] = page.evaluate(CHECK)
    return violations
