"""English sentences from a text and its values. The platform translates the same texts."""

from collections.abc import Mapping
from typing import Any


def gettext_noop(text: str) -> str:
    """Mark a text for the translation catalogues without an import of Django."""
    return text


def printable(value: Any) -> str:
    """Return the first 300 characters of a value, without control characters.

    A file from outside must not send control characters to a terminal.
    """
    return "".join(c if c.isprintable() else "�" for c in str(value)[:300])


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Return the text with its values, without control characters. Raises KeyError if a value is missing."""
    return text % {name: printable(value) for name, value in values.items()}
