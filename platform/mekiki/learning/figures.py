"""Figures as the reader's language writes them: for pages, and for sentences that are put together here."""

from django.utils import formats


def count(value: int | None) -> str:
    """12345 → "12,345" (as the language writes it); None → "–"."""
    return "–" if value is None else formats.number_format(value, 0, use_l10n=True, force_grouping=True)


def decimal(value: float, digits: int = 3) -> str:
    """0.43219 → "0.432" (as the language writes it)."""
    # Rounded here: Django cuts the digits of a float off. Plus zero: no “-0.000”.
    return formats.number_format(round(value, digits) + 0.0, digits, use_l10n=True, force_grouping=True)


def percent(value: float | None, digits: int = 1) -> str:
    """0.9342 → "93.4 %"; None → "–". Never rounded up to 100 % or down to 0 %: neither would be true."""
    if value is None:
        return "–"
    shown = round(value * 100, digits)
    step = 10**-digits
    if value < 1 and shown >= 100:
        shown = 100 - step
    if value > 0 and shown <= 0:
        shown = step
    return f"{formats.number_format(shown, digits, use_l10n=True)} %"
