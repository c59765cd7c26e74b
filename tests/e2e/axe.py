"""The accessibility check of a page with axe."""

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# "preload" would copy the style sheets into the page, and the strict CSP would report errors. axe checks all
# rules whatever "resultTypes" is. It names the results with a complete list of elements. With all types, axe
# would also list all elements that pass, and that takes longer than the check. Elements are named by their
# HTML, so no selectors are computed.
CHECK = """(rules) => {
    const options = { preload: false, selectors: false, resultTypes: ["violations"], ...rules };
    return axe.run(document, options).then((results) => results.violations);
}"""
# The contrast of every text takes two thirds of the time of all rules.
ALL: dict[str, Any] = {}
WITHOUT_CONTRAST = {"rules": {"color-contrast": {"enabled": False}}}
CONTRAST = {"runOnly": ["color-contrast"]}


def violations_of(page: Page, rules: dict[str, Any] = ALL) -> list[dict[str, Any]]:
    """Return the accessibility rules that the page violates, with all elements that violate them."""
    page.evaluate(AXE_SCRIPT)
    violations: list[dict[str, Any]] = page.evaluate(CHECK, rules)
    return violations
