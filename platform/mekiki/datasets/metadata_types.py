"""Numbers and dates in the texts of metadata, and the guess of a field's type from its values.

An ambiguous text is neither: 1,5 could be a list, and 03/04/2026 two different days. It stays a text.
"""

import math
import re
import unicodedata
from collections.abc import Collection
from datetime import date

from mekiki.datasets.models import MetadataField

# A guess from fewer values is repeated at the next import.
ENOUGH_VALUES = 100
# The most values that a guess looks at.
MOST_VALUES = 1000
# A field with at most this number of different values, most of them repeated, is a choice.
MOST_CHOICES = 20
# The share of the values that must fit a type, so that it is guessed.
_FITTING = 0.9

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
# Thousands in groups of three: 1,234 or 12,345.6. Two groups or a decimal point show that it is no list.
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:(?:,\d{3}){2,}(?:\.\d+)?|,\d{3}\.\d+)", re.ASCII)
_DAY = re.compile(
    r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})日|(\d{2})(\d{2}))"
    r"(?:(?:[T ]|(?<=日))\d{1,2}[:時].*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_FIRST_YEAR, _LAST_YEAR = 1900, 2199


def parse_number(text: str) -> float | None:
    """Return the number that a text writes, or None. Full-width digits are digits."""
    text = unicodedata.normalize("NFKC", text).strip().replace("\N{MINUS SIGN}", "-")
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def parse_day(text: str) -> date | None:
    """Return the day that a text begins with (2026-11-01, 2026/11/1, 2026年11月1日, 20261101), or None.

    A time after the day is left out. The day is the one of the text, whatever its time zone.
    """
    match = _DAY.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if match is None:
        return None
    year, month, day = (int(part) for part in match.groups() if part is not None and part.isdigit())
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


def guess_type(texts: Collection[str]) -> str:
    """Return the type of a field from its values, by the following rules in this order.

    Dates, if most values are. A choice, if there are few different values and most occur several times,
    unless they have decimals. Numbers, if most values are, unless zeros at the beginning make them
    identifiers.
    """
    if not texts:
        return MetadataField.Type.TEXT
    different = set(texts)
    least = _FITTING * len(texts)
    if sum(parse_day(text) is not None for text in texts) >= least:
        return MetadataField.Type.DATE
    numbers = [text for text in texts if parse_number(text) is not None]
    are_decimals = any("." in text for text in numbers)
    are_numbers = len(numbers) >= least and not any(_is_identifier(text) for text in different)
    if len(different) <= MOST_CHOICES and len(texts) >= 2 * len(different):
        return MetadataField.Type.NUMBER if are_numbers and are_decimals else MetadataField.Type.CHOICE
    return MetadataField.Type.NUMBER if are_numbers else MetadataField.Type.TEXT


def _is_identifier(text: str) -> bool:
    return len(text) > 1 and text[0] == "0" and text.isdigit()
